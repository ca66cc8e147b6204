"""The interface's process never loads what computes: that is the engine's, and those of runs and files."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.engine.samples import SAMPLES, spec_of
from tests.tui.carded import STEPS
from tests.tui.pty_run import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Sample


def test_no_screen_loads_pytorch_on_a_machine_with_a_card(tmp_path: Path, sample: Sample) -> None:
    """In the long run a file is read through, too, which takes a process that does load it."""
    steps = [each for each in STEPS if each != "verify" or sample("files read through", 0, 1)]
    for name, make in SAMPLES.items():
        folder = tmp_path / "files" / name
        folder.mkdir(parents=True)
        make(folder, spec_of(name))
    (tmp_path / "files" / "pth" / "tokenizer.json").write_text("{}")  # with it, that model can be used
    given = [str(tmp_path / "home"), str(tmp_path / "files"), *steps]
    done = subprocess.run(
        [sys.executable, "-m", "tests.tui.carded", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {step: [] for step in ("start", *steps)}
