"""The drawing budget: at 150 tokens/s the interface uses at most 15 % of one core, in a real terminal.

Measured is the CPU time of the whole process (event loop, drawing, the library's writes) over wall time, from
the first piece of the reply to its end. The fake engine costs next to nothing.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

BUDGET = 0.15
SECONDS = 6.0


@pytest.mark.parametrize("kind", ["mixed", "list", "fence"])
def test_at_150_tokens_per_second_drawing_stays_within_its_budget(kind: str, tmp_path: Path) -> None:
    from tests.tui.pty_run import run_in_pty

    out = tmp_path / "measured.json"
    env = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "OMP_NUM_THREADS": "1"}
    args = ["-m", "tests.tui.streaming", str(tmp_path / "home"), kind, str(SECONDS), str(out)]
    drawn, _ = run_in_pty(args, env=env, seconds=SECONDS * 5 + 20)
    assert out.exists(), drawn[-3000:].decode(errors="replace")
    measured = json.loads(out.read_text())
    share = measured["cpu"] / measured["wall"]
    rate = measured["characters"] / 4 / measured["wall"]
    print(f"{kind}: {share:.1%} of one core at {rate:.0f} tokens/s")
    assert rate > 120, "the stream itself did not keep up"
    assert share <= BUDGET
