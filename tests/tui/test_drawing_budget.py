"""The drawing budget: at 150 tokens/s the interface uses at most 15 % of one core, in a real terminal.

Measured is the CPU time of the whole process (event loop, drawing, the library's writes) from the first piece
of the reply to its end, over the time that so many tokens take at 150 a second. The fake engine costs next to
nothing. Seconds are those of `own_time`: other programs may hold the processors meanwhile.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.tui.texts import CHARACTERS_PER_TOKEN, MESSAGE, TOKENS_PER_SECOND

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Sample

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

BUDGET = {"mixed": 0.15, "list": 0.3, "fence": 0.3}  # of one core; a list or fence without an end is rare
SECONDS, LONG = 3, 30
MOST_MARKDOWN, MOST_LAID_OUT, MOST_GROWN = 12, 40, 100_000_000
NOBODYS_WAIT = 0.05  # seconds, however quick an idle machine draws
FEW, OF_FEW = 100, 0.5  # the slowest of a few letters is one that waited for a processor


@pytest.mark.parametrize("kind", ["mixed", "list", "fence"])
def test_at_150_tokens_per_second_drawing_stays_within_its_budget(
    kind: str, tmp_path: Path, sample: Sample, room: float
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
    assert rate > TOKENS_PER_SECOND / 2 / room, "the stream did not keep up"
    assert share <= BUDGET[kind] * room


def test_a_long_conversation_and_typing_in_one_run(tmp_path: Path, sample: Sample, room: float) -> None:
    """Opened, scrolled from end to end, without and with the focus, while all of it is counted and read by
    the (fake) engine; then letters are typed.
    """
    from tests.tui.pty_run import run_in_pty

    messages = sample("messages in a long conversation", 300, 5_000)
    letters = sample("letters typed, idle and while a reply streams", 40, 300)
    out = tmp_path / "measured.json"
    env = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "OMP_NUM_THREADS": "1"}
    args = ["-m", "tests.tui.long_chat", str(tmp_path / "home"), str(messages), str(letters), str(out)]
    drawn, _ = run_in_pty(args, env=env, seconds=600)
    assert out.exists(), drawn[-3000:].decode(errors="replace")
    found = json.loads(out.read_text())
    stall = max(found["open"], found["scroll"], found["focus"])
    print(
        f"{messages} messages: stalls {found['open'] * 1e3:.0f} ms opened, {found['scroll'] * 1e3:.0f} ms"
        f" scrolled, {found['focus'] * 1e3:.0f} ms focus; as Static {found['plain'] * 1e3:.0f} ms;"
        f" {found['grown'] / 1e6:.0f} MB more, {found['peak'] / 1e6:.0f} MB at most,"
        f" {found['read']:,} tokens read; letters drawn in {found['idle'] * 1e3:.1f} ms idle,"
        f" {found['busy'] * 1e3:.1f} ms streaming (p99 of {letters})"
    )
    assert found["messages"] == messages
    assert stall <= 2 * found["plain"] * room
    assert found["markdown"] <= MOST_MARKDOWN
    assert found["laid_out"] <= MOST_LAID_OUT
    assert found["read"] > messages * MESSAGE / CHARACTERS_PER_TOKEN
    assert found["grown"] < MOST_GROWN
    assert found["peak"] < MOST_GROWN
    assert found["busy"] <= max(3 * found["idle"], NOBODYS_WAIT if letters > FEW else OF_FEW)
