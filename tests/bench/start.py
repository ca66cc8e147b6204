"""What the help and the first frame take, beside what their libraries take alone; and when the conversations
stand there.

    python -m tests.bench.start [rounds]

Processes take turns. A real pseudo-terminal, a data folder with one conversation, page cache warm. Prints
medians of the clock and of processor time, and the medians of the rounds' ratios.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes import fake_session
from tests.starting import CLICK, HELP, TEXTUAL, first_frame, run_alone, settled_home, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    Seconds = tuple[float, float]  # of the processor, of the clock

SAID = "The quick brown fox"


def alone(arguments: list[str]) -> Seconds:
    begun = time.monotonic()
    used = run_alone(arguments)
    return used, time.monotonic() - begun


async def one_conversation(home: Path) -> None:
    session = await fake_session(home, replies=(f"{SAID} **jumps** over\n\n- the\n- lazy dog",))
    async for _ in session.chats.send(None, "Say something."):
        pass
    await session.close()


def compared(ours: Callable[[], Seconds], theirs: Callable[[], Seconds], rounds: int) -> str:
    ours()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    words = []
    for at, what in enumerate(("of the processor", "of the clock")):
        mine, its = (statistics.median(each[side][at] for each in pairs) for side in (0, 1))
        ratio = statistics.median(a[at] / b[at] for a, b in pairs)
        words.append(f"{mine:.3f} / {its:.3f} s {what}: {ratio:.2f} ×")
    return "; ".join(words)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        home = settled_home(Path(name) / "home")
        asyncio.run(one_conversation(home))
        print("--help / import click:", compared(lambda: alone(HELP), lambda: alone(CLICK), rounds))
        print(
            "first frame / import textual:",
            compared(lambda: first_frame(home), lambda: alone(TEXTUAL), rounds),
        )
        print(
            "list and last conversation / import textual:",
            compared(lambda: whole(home, SAID), lambda: alone(TEXTUAL), rounds),
        )
    print(f"{rounds} rounds, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
