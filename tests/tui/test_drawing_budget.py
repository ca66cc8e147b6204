"""The drawing budget: at 150 tokens/s the interface uses at most 15 % of one core, in a real terminal.

Measured is the CPU time of the whole process (event loop, drawing, the library's writes) from the first piece
of the reply to its end, over the time that so many tokens take at 150 a second. The fake engine costs next to
nothing.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.tui.texts import CHARACTERS_PER_TOKEN, TOKENS_PER_SECOND

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Sample

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

BUDGET = 0.15
SECONDS, LONG = 3, 30


@pytest.mark.parametrize("kind", ["mixed", "list", "fence"])
def test_at_150_tokens_per_second_drawing_stays_within_its_budget(
    kind: str, tmp_path: Path, sample: Sample
) -> None:
    from tests.tui.pty_run import run_in_pty

    seconds, out = sample(f"seconds of {kind} streamed", SECONDS, LONG), tmp_path / "measured.json"
    env = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "OMP_NUM_THREADS": "1"}
    args = ["-m", "tests.tui.streaming", str(tmp_path / "home"), kind, str(seconds), str(out)]
    drawn, _ = run_in_pty(args, env=env, seconds=seconds * 5 + 60)
    assert out.exists(), drawn[-3000:].decode(errors="replace")
    measured = json.loads(out.read_text())
    tokens = measured["characters"] / CHARACTERS_PER_TOKEN
    share = measured["cpu"] / (tokens / TOKENS_PER_SECOND)
    rate = tokens / measured["wall"]
    print(f"{kind}: {share:.1%} of one core at {TOKENS_PER_SECOND} tokens/s (streamed at {rate:.0f})")
    assert rate > TOKENS_PER_SECOND / 2, "the stream did not keep up"
    assert share <= BUDGET
