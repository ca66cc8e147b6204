"""Saved states as the engine's front shows them: kept, forgotten, and never needed for a reply."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from engine.prefix import extend
from engine.types import (
    LoadRequest,
    Saved,
)
from tests.engine.small import ask, engine_on

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from engine.service import Engine


from tests.engine.small import PROMPT, request

# ------------------------------------------------------------------------------------------------ the store


def test_without_room_the_reply_ends_without_a_key(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model, budget_bytes=100) as engine:
        found = ask(engine, request())
    assert found.finished.key is None
    assert found.of(Saved) == []


def test_a_states_folder_that_cannot_be_made_costs_no_reply(model: LoadRequest, tmp_path: Path) -> None:
    (tmp_path / "states").write_text("a file is in the way")
    with engine_on(tmp_path, model) as engine:
        found = ask(engine, request())
    assert (found.finished.reason, found.finished.key) == ("length", None)


def test_a_states_folder_taken_away_costs_only_time(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model) as engine:
        first = ask(engine, request()).finished
        shutil.rmtree(tmp_path / "states")
        engine.forget([first.prefix])
        assert ask(engine, request((9,), PROMPT + first.tokens)).finished.key is not None
        assert ask(engine, request((0, 9))).finished.key is not None


def test_a_disk_that_fills_up_costs_no_reply(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with engine_on(tmp_path, model) as engine, caplog.at_level(logging.WARNING, "engine"):
        monkeypatch.setattr("engine.store.writing.write", full)
        assert ask(engine, request()).finished.key is None
    assert "No space left" in caplog.text


def test_forgotten_states_are_gone_from_disk_and_device(shared: Engine) -> None:
    prompt = (0, 3, 4)
    end = ask(shared, request(prompt)).finished
    shared.forget([end.prefix, extend(prompt)])
    again = ask(shared, request((9,), prompt + end.tokens)).finished
    assert (again.usage.source, again.usage.history_tokens) == ("rebuilt", len(prompt + end.tokens))


def test_states_are_forgotten_without_a_model_and_without_torch(tmp_path: Path) -> None:
    prefix = extend(PROMPT)
    code = f"""
import sys
from pathlib import Path
from engine.service import Engine
engine = Engine(Path({str(tmp_path)!r}))
engine.forget([{prefix!r}])
engine.close()
sys.exit("torch" in sys.modules)
"""
    path = tmp_path / f"{prefix[:32]}-{'0' * 32}.safetensors"
    path.write_bytes(b"state")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert not path.exists()


def test_kept_states_survive_the_budget(model: LoadRequest, tmp_path: Path) -> None:
    with engine_on(tmp_path, model) as engine:
        size = ask(engine, request()).of(Saved)[-1].nbytes
    with engine_on(tmp_path / "two", model, budget_bytes=size * 4) as engine:
        tip = ask(engine, request()).finished
        engine.keep([tip.prefix])
        for n in range(6):
            ask(engine, request((0, n)))
        names = [path.name for path in (tmp_path / "two" / "states").iterdir()]
        assert any(name.startswith(tip.prefix[:32]) for name in names)
        assert sum(path.stat().st_size for path in (tmp_path / "two" / "states").iterdir()) <= size * 4
