"""Blocking generators in a process of their own give what they give in this one, and leave nothing behind."""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import TYPE_CHECKING

import pytest

from engine.errors import ModelNotFound, Unexpected, WorkerDied
from rwkv_chat.paths import Paths
from rwkv_chat.session import open_session
from rwkv_chat.session.apart import apart
from rwkv_chat.session.shelf_verify import verify
from tests.chat.apart_work import fails, notes_its_end, pids
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path


def never() -> bool:
    return False


def test_values_come_from_another_process() -> None:
    found = list(apart(pids, 3, stop=never))
    assert len(found) == 3
    assert found[0] != os.getpid()
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("kind", "error"), [("known", ModelNotFound), ("unknown", Unexpected), ("dies", WorkerDied)]
)
def test_an_error_comes_out(kind: str, error: type[Exception]) -> None:
    working = apart(fails, kind, stop=never)
    assert next(working) == 1
    with pytest.raises(error) as raised:
        next(working)
    if isinstance(raised.value, Unexpected):
        assert raised.value.kind == "ZeroDivisionError"
        assert "in fails" in raised.value.detail
        assert kind not in raised.value.detail  # a message may quote what a person wrote
    if isinstance(raised.value, WorkerDied):
        assert raised.value.exit_code == 7


@pytest.mark.parametrize("left", [False, True], ids=["stopped", "left"])
def test_who_leaves_stops_it_and_waits_for_its_end(
    left: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwkv_chat.session.apart.ENDING_SECONDS", 60.0)  # a busy machine
    file, stopped = tmp_path / "end", []
    working = apart(notes_its_end, file, stop=lambda: bool(stopped))
    assert next(working) == 1
    if left:
        working.close()
    else:
        stopped.append(True)
        assert list(working) == []
    assert file.read_text() == "stopped"
    assert [each for each in multiprocessing.active_children() if each.name == "apart"] == []


def test_a_model_is_verified_apart_as_it_is_here(tmp_path: Path) -> None:
    path = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    given = (path, None, "", tmp_path)
    assert list(apart(verify, *given, stop=never)) == list(verify(*given, never))


@pytest.mark.parametrize("worker", ["thread", "process"])
async def test_only_a_session_with_an_engine_apart_verifies_apart(worker: str, tmp_path: Path) -> None:
    session = await open_session(Paths.under(tmp_path), worker=worker)  # pyright: ignore[reportArgumentType]
    assert session.shelf.apart == (worker == "process")
    await session.close()


VERIFIED_APART = """
import asyncio, sys
from pathlib import Path
from rwkv_chat.paths import Paths
from rwkv_chat.session import open_session
async def go():
    session = await open_session(Paths.under(Path(sys.argv[1])), worker="process")
    *_, end = [each async for each in session.shelf.verify(Path(sys.argv[2]))]
    await session.close()
    print(end.tensors, "torch" in sys.modules)
if __name__ == "__main__":
    asyncio.run(go())
"""


def test_verifying_brings_no_torch_into_the_interface(tmp_path: Path) -> None:
    import subprocess

    script = tmp_path / "go.py"
    script.write_text(VERIFIED_APART)
    path = tiny.checkpoint(tmp_path / "a.pth", tiny.spec(vocab_size=65536, n_embd=16, rank=4))
    done = subprocess.run(
        [sys.executable, script, tmp_path / "home", path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    count, torch_loaded = done.stdout.split()
    assert int(count) > 50
    assert torch_loaded == "False"
