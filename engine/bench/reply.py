"""A whole reply as a chat draws it: feed, sample, decode to text, one token after the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.bench.rows import ReplyRow
from engine.generate import Start, generate
from engine.sampling import SamplerState
from engine.types import GenerateRequest, SamplingParams, StopRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bench.rows import Plan
    from engine.models.model import Model
    from engine.types import TokenIds

WARM, MOST = 16, 4096
SEED = 11


class Spelled:
    """A tokenizer of any vocabulary: each id is a short word, so that a reply never stops by itself."""

    holes: TokenIds = ()

    def __init__(self, vocabulary: int) -> None:
        self.vocab_size = self.sampleable = vocabulary

    def encode(self, text: str) -> TokenIds:
        return self.encode_bytes(text.encode())

    def encode_bytes(self, data: bytes) -> TokenIds:
        return tuple(each % self.vocab_size for each in data)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(self.token_bytes, ids))

    def token_bytes(self, token: int) -> bytes:
        return b" %d" % token


def reply(plan: Plan, model: Model) -> ReplyRow:
    """A reply with the usual sampling, about `plan.seconds` long; the wall clock, whatever the device."""
    _drawn(model, WARM)
    rate = WARM / _drawn(model, WARM)
    tokens = min(MOST, max(WARM, int(rate * plan.seconds)))
    return ReplyRow(tokens, tokens / _drawn(model, tokens))


def _drawn(model: Model, tokens: int) -> float:
    """Seconds from the last prompt token to the last of so many that were drawn."""
    params = SamplingParams(max_tokens=tokens, seed=SEED)
    request = GenerateRequest(prompt=(1,), params=params, stop=StopRule(ids=()))
    start = Start(model.zero_state(), (1,), (SamplerState(SEED),))
    begun = time.perf_counter()
    for _ in generate(model, Spelled(model.spec.vocab_size), request, start):
        pass
    return time.perf_counter() - begun
