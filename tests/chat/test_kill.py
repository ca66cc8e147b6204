"""A killed program loses nothing: see `tests.chat.kill`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chat.real import model_folder

if TYPE_CHECKING:
    from tests.conftest import Sample

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


@pytest.mark.parametrize(("form", "few", "many"), [("fake", 8, 900), ("real", 4, 100)])
def test_killed_at_random_moments(
    form: str, few: int, many: int, tmp_path: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    count = sample(f"kills ({form} model)", few, many)
    model = "fake" if form == "fake" else str(model_folder(tmp_path / "model"))
    command = [sys.executable, "-m", "tests.chat.kill", model, str(tmp_path / "homes"), str(count), "2"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60 + 8 * count)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout)
    with capsys.disabled():
        print(f"\nkill -9, {form}: { ({key: value for key, value in found.items() if key != 'faults'}) }")
    assert found["faults"] == [], ended.stderr[-2000:]
    assert found["kills"] == count
    if count < many:  # a starved machine may kill the few before they have come to anything
        return
    assert found["committed"] >= count // 2
    assert found["continued"] >= count // 2
    assert found["states read"] >= count // 2
    if form == "fake":
        assert found["states computed again"] >= count


def test_a_run_with_the_same_seed_goes_on(tmp_path: Path) -> None:
    """What is found already is not done again, and all of it is told."""
    done = {"home": 0, "counts": {"kills": 8, "committed": 5}, "faults": ["home 0, kill 3: lost"]}
    (tmp_path / "done.jsonl").write_text(json.dumps(done) + "\n")
    command = [sys.executable, "-m", "tests.chat.kill", "fake", str(tmp_path), "8", "1"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ended.stdout) == {"faults": done["faults"], **done["counts"]}
