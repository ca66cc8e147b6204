"""Hostile files in every format that is read: a typed error or a whole model, and nothing else ever.

Cases run in child processes (`fuzz_worker.py`), which also see memory, time, and attempts to run code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.engine.fuzz_worker import SUBJECTS

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of one case is read from Linux's /proc"
)
HANGS = 600  # seconds for a process
AT_ONCE = 1000  # cases of a process, whatever they are


def run(batches: list[tuple[str, int, int]], folder: Path) -> list[dict]:
    """The cases' lines; a process that ends early leaves its last case unsaid."""
    words = [str(word) for batch in batches for word in batch]
    command = [sys.executable, "-m", "tests.engine.fuzz_worker", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    last = lines[-1] if lines else None
    assert done.returncode == 0, f"the process ended in the case after {last}: {done.stderr[-2000:]}"
    return lines


def batches_of(count: int) -> list[list[tuple[str, int, int]]]:
    """The batches of each process: all subjects together, or one at a time where there are many cases."""
    if count * len(SUBJECTS) <= AT_ONCE:
        return [[(subject, 0, count) for subject in SUBJECTS]]
    return [
        [(subject, first, min(AT_ONCE, count - first))]
        for subject in SUBJECTS
        for first in range(0, count, AT_ONCE)
    ]


def test_damaged_and_hostile_files(tmp_path, sample):
    count = sample(f"hostile files for each of {len(SUBJECTS)} readers", 40, 1500)
    cases = [line for batches in batches_of(count) for line in run(batches, tmp_path / "files")]
    for subject in SUBJECTS:
        ended = Counter(each["ended"].split(":")[0] for each in cases if each["subject"] == subject)
        told = ", ".join(f"{name} {number}" for name, number in ended.most_common())
        print(f"{subject}: {ended.total()} cases: {told}")
    wrong = [(each["subject"], each["number"], bad) for each in cases for bad in each["bad"]]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:5]}"
    assert len(cases) == count * len(SUBJECTS)


def test_readers_with_a_fault_are_noticed(tmp_path):
    """The watch over the cases works: each planted fault is told by its own words."""
    batches = [("runs code", 40, 60), ("takes memory", 0, 2), ("writes elsewhere", 0, 2)]
    cases = run(batches, tmp_path / "files")
    found = {
        name: " ".join(bad for each in cases if each["subject"] == name for bad in each["bad"])
        for name, _, _ in batches
    }
    assert "did os.system" in found["runs code"]
    assert "ran code" in found["runs code"]
    assert "untyped" in found["runs code"]
    assert "MB for" in found["takes memory"]
    assert "wrote to" in found["writes elsewhere"]
