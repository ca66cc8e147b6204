"""A whole reply as a chat draws it: feed, sample, decode to text, one token after the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.bench.rows import ReplyRow
from engine.bench.spelled import Spelled
from engine.generate import Start, generate
from engine.sampling import SamplerState
from engine.types import GenerateRequest, SamplingParams, StopRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.bench.rows import Plan
    from engine.bench.subject import Running

WARM, MOST = 16, 4096
SEED = 11


def reply(plan: Plan, running: Running) -> Iterator[ReplyRow]:
    """A reply with the usual sampling, about `plan.seconds` long; the wall clock, whatever the device."""
    _drawn(running, WARM)
    rate = WARM / _drawn(running, WARM)
    tokens = min(MOST, max(WARM, int(rate * plan.seconds)))
    yield ReplyRow(tokens, tokens / _drawn(running, tokens))


def _drawn(running: Running, tokens: int) -> float:
    """Seconds from the last prompt token to the last of so many that were drawn."""
    model = running.model
    params = SamplingParams(max_tokens=tokens, seed=SEED)
    request = GenerateRequest(prompt=(1,), params=params, stop=StopRule(ids=()))
    start = Start(model.zero_state(), (1,), (SamplerState(SEED),))
    begun = time.perf_counter()
    spelled = Spelled(model.spec.vocab_size)
    for _ in generate(model, spelled, request, start, graphs=running.graphs):
        pass
    return time.perf_counter() - begun
