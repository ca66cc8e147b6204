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

SAMPLE, LONG = 4, 200
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_at_random_moments(tmp_path: Path, sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    count = sample("kills", SAMPLE, LONG)
    model = model_folder(tmp_path / "model")
    command = [sys.executable, "-m", "tests.chat.kill", str(model), str(tmp_path / "homes"), str(count), "2"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30 + 8 * count)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout)
    with capsys.disabled():
        print(f"\nkill -9: { ({key: value for key, value in found.items() if key != 'faults'}) }")
    assert found["faults"] == [], ended.stderr[-2000:]
    assert found["kills"] == count
    assert found["committed"] >= count // 2
    assert found["continued"] >= count // 2
