"""One token at a time: after long contexts, for several sequences at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.bench.rows import BatchRow, ContextRow, LeftOut
from engine.bench.subject import ids
from engine.devices import chunk_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.bench.rows import Plan
    from engine.bench.subject import Running
    from engine.models.model import Model
    from engine.models.state import State


def contexts(plan: Plan, running: Running) -> Iterator[ContextRow]:
    """A token after each context. They are fed one after the other, as long as the plan allows."""
    model, clock = running.model, running.clock
    state, fed, spent = model.zero_state(), 0, 0.0
    for context in plan.contexts:
        if spent < plan.feeding_seconds:
            state, more, seconds = _fed(model, state, context - fed, plan.feeding_seconds - spent)
            fed, spent = fed + more, spent + seconds
        step = clock.median(running.stepper(state), plan.seconds)
        yield ContextRow(context, fed, step, clock.memory_bytes())


def _fed(model: Model, state: State, tokens: int, seconds: float) -> tuple[State, int, float]:
    """The state after `tokens` more, or after as many as time allows; how many, and the seconds."""
    begun, done = time.perf_counter(), 0
    chunk = chunk_for(str(model.device), model.nbytes)
    while done < tokens and time.perf_counter() - begun < seconds:
        size = min(chunk, tokens - done)
        _, state = model.forward(ids(model, 1, size), state)
        done += size
    return state, done, time.perf_counter() - begun


def batches(plan: Plan, running: Running) -> Iterator[BatchRow | LeftOut]:
    """Several sequences, a token each."""
    for batch in plan.batches:
        try:
            step = running.stepper(running.model.zero_state(batch))
            seconds = running.clock.median(step, plan.seconds)
        except (MemoryError, RuntimeError) as error:  # torch says of both kinds that there was no room
            yield LeftOut("batch", str(batch), type(error).__name__)
            continue
        yield BatchRow(batch, seconds, batch / seconds)
