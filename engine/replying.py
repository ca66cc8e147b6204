"""One reply from request to snapshots, as a generator: which events are told, which states are saved."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.devices import prefill_chunk
from engine.generate import Fed, RowEnd, Start, generate
from engine.prefix import extend
from engine.sampling import SamplerState, replay
from engine.saver import Save
from engine.states import chain_of, moved
from engine.store.snapshot import Snapshot
from engine.stream_decoder import StreamDecoder
from engine.types import Finished, Piece, Prefilled, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.states import Begin, Chain, States
    from engine.tokenizer import Tokenizer
    from engine.types import GenerateRequest, ModelInfo, SamplingParams

FRESH_SEEDS = 1 << 32


@dataclass(frozen=True, slots=True)
class Voice:
    """A loaded model and all that replying with it needs."""

    model: Any
    info: ModelInfo
    tokenizer: Tokenizer
    states: States

    def reply(
        self, request: GenerateRequest, should_stop: Callable[[], bool]
    ) -> Iterator[Prefilled | Piece | Finished | Save]:
        """One reply (or n): events to be told at once, and snapshots to be saved.

        A snapshot is saved at the end of the prompt, before the first draw, and at the end of each reply.

        Raises:
            InvalidRequest: see `chain_of`.
        """
        began = time.monotonic()
        chain = chain_of(request, self.info.spec.vocab_size)
        begin = self.states.find(chain)
        start = self._start(request, chain, begin)
        usage = _usage(chain, begin)
        for event in generate(self.model, self.tokenizer, request, start, should_stop):
            if isinstance(event, Fed):
                total = len(start.feed)
                yield Prefilled(event.done if event.state else total, total, usage.history_tokens > 0)
                usage = replace(usage, prefill_seconds=time.monotonic() - began)
                yield from self._reached(request, chain, start, event)
            elif isinstance(event, RowEnd):
                yield from self._end(chain, usage, event)
            else:
                yield event

    def _start(self, request: GenerateRequest, chain: Chain, begin: Begin) -> Start:
        found = begin.snapshot
        state = found.state if found else self.states.zero
        feed = (*found.pending, *chain.tokens[found.length :]) if found else chain.tokens
        sampler, carry = self._sampler(request, chain, begin)
        samplers = tuple(
            replace(sampler, seed=(sampler.seed + index) % (1 << 63)) for index in range(request.n)
        )
        return Start(state, feed, samplers, carry, prefill_chunk(self.info))

    def _sampler(self, request: GenerateRequest, chain: Chain, begin: Begin) -> tuple[SamplerState, bytes]:
        """The sampler's state and the carry before the first draw."""
        params, found = request.params, begin.snapshot
        if not request.continues:
            return SamplerState(_seed(params)), b""
        if found and found.length == len(chain.tokens) and found.sampler.position == request.continues:
            seed = found.sampler.seed if params.seed is None else params.seed
            return replace(found.sampler, seed=seed), found.carry
        cut = chain.tokens[len(chain.tokens) - request.continues :]
        decoder = StreamDecoder()
        decoder.feed(self.tokenizer.decode_bytes(cut))
        return replay(params, self.tokenizer, _seed(params), cut), decoder.carry

    def _reached(self, request: GenerateRequest, chain: Chain, start: Start, fed: Fed) -> Iterator[Save]:
        """Remembers how far the chain has been fed; has the end of the prompt saved."""
        if fed.state is None:
            return
        consumed = len(chain.tokens) - len(start.feed) + fed.done
        key = self.states.key(chain.keys[consumed])
        snapshot = Snapshot(key, consumed + 1, fed.state, chain.tokens[consumed : consumed + 1])
        if consumed == len(chain.tokens) - 1:
            if request.continues:
                snapshot = replace(snapshot, sampler=start.samplers[0], carry=start.carry)
            self.states.remember(snapshot)
            yield Save(moved(snapshot, "cpu"))
        elif fed.done:
            self.states.remember(snapshot, chain.keys[:consumed])

    def _end(self, chain: Chain, usage: Usage, row: RowEnd) -> Iterator[Finished | Save]:
        usage = replace(
            usage,
            reply_tokens=len(row.tokens),
            decode_seconds=row.decode_seconds,
            seed=row.sampler.seed,
        )
        prefix = extend(row.tokens, chain.keys[-1])
        finished = Finished(row.index, row.reason, row.tokens, row.text, usage, prefix)
        if row.state is None:
            yield finished
            return
        length = len(chain.tokens) + len(row.tokens)
        snapshot = Snapshot(self.states.key(prefix), length, row.state, row.pending, row.sampler, row.carry)
        if row.tokens:
            self.states.remember(snapshot)
        yield Save(moved(snapshot, "cpu"), finished)


def _seed(params: SamplingParams) -> int:
    return secrets.randbelow(FRESH_SEEDS) if params.seed is None else params.seed


def _usage(chain: Chain, begin: Begin) -> Usage:
    return Usage(
        prompt_tokens=len(chain.tokens) - max(begin.length, chain.new_from),
        history_tokens=max(0, chain.new_from - begin.length),
        source=begin.source,
    )
