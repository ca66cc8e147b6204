"""Known tokens of one sequence, read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bench.rows import LeftOut, PrefillRow
from engine.bench.subject import ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.bench.rows import Plan
    from engine.bench.subject import Running


def prefill(plan: Plan, running: Running) -> Iterator[PrefillRow | LeftOut]:
    """Each prompt of the plan, after an empty state."""
    for tokens in plan.prompts:
        try:
            seconds = seconds_of(running, tokens, plan.seconds)
        except (MemoryError, RuntimeError) as error:  # no room for so many at once
            yield LeftOut("prefill", str(tokens), type(error).__name__)
            continue
        yield PrefillRow(tokens, seconds, tokens / seconds)


def seconds_of(running: Running, tokens: int, seconds: float) -> float:
    """The median of reading so many tokens at once."""
    model = running.model
    prompt, empty = ids(model, 1, tokens), model.zero_state()
    return running.clock.median(lambda: model.forward(prompt, empty), seconds)
