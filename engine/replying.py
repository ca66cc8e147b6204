"""One reply from request to snapshots, as a generator: which events are told, which states are saved."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.devices import prefill_chunk
from engine.generate import Fed, Mark, RowEnd, Start, generate
from engine.large_pages import quickening
from engine.prefix import extend
from engine.sampling import SamplerState, replay
from engine.saver import Save
from engine.states import chain_of, check_ids, moved
from engine.store.snapshot import Snapshot
from engine.stream_decoder import StreamDecoder
from engine.types import Finished, Piece, Prefilled, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.graph_pool import GraphPool
    from engine.models.state import State
    from engine.states import Begin, Chain, States
    from engine.tokenizer import Tokenizer
    from engine.types import GenerateRequest, ModelInfo, Resampled, SamplingParams, TokenIds

FRESH_SEEDS = 1 << 32
MOST_DRAWN = 4096  # a longer cut reply is read again in chunks, which is faster


@dataclass(frozen=True, slots=True)
class Voice:
    """A loaded model and all that replying with it needs.

    Attributes:
        graphs: decode on the device alone; None: the plain loop does.
        spare: steps of what makes the model quicker, for the time when nobody waits.
    """

    model: Any
    info: ModelInfo
    tokenizer: Tokenizer
    states: States
    graphs: GraphPool | None = None
    spare: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spare", quickening(self.model))

    def reply(
        self,
        request: GenerateRequest,
        should_stop: Callable[[], bool],
        changed: Callable[[], SamplingParams | None] = lambda: None,
    ) -> Iterator[Prefilled | Piece | Resampled | Finished | Save]:
        """One reply (or n): events to be told at once, and snapshots to be saved. `changed`: see `generate`.

        A snapshot is saved at the end of the prompt, before the first draw, and at the end of each reply;
        where the request has a fork, there alone. While a reply is drawn, one is saved every two seconds,
        for the case that the program dies.

        Raises:
            InvalidRequest: see `chain_of`.
        """
        began = time.monotonic()
        chain = chain_of(request, self.info.spec.vocab_size)
        begin = self.states.find(chain)
        start = self._start(request, chain, begin)
        usage = usage_of(chain, begin)
        for event in generate(self.model, self.tokenizer, request, start, should_stop, self.graphs, changed):
            if isinstance(event, Fed):
                total = len(start.feed)
                if total > 1:  # one token is no progress: the first piece comes with it
                    yield Prefilled(event.done if event.state else total, total, usage.history_tokens > 0)
                usage = replace(usage, prefill_seconds=time.monotonic() - began)
                yield from self._reached(request, chain, start, event, saved=begin.source == "disk")
            elif isinstance(event, Mark):
                yield from self._passing(chain, event)
            elif isinstance(event, RowEnd):
                yield from self._end(chain, usage, event)
            else:
                yield event

    def opened(self, chain: Chain, begin: Begin) -> tuple[State, TokenIds]:
        """The state to go on from, and what of the chain it has not consumed.

        Raises:
            InvalidRequest: an id of a long history is outside the vocabulary.
        """
        found = begin.snapshot
        if found is None:
            state, todo = self.states.first(chain.initial), chain.tokens[:]
        else:
            state, todo = found.state, (*found.pending, *chain.tokens[found.length :])
        check_ids(todo, self.info.spec.vocab_size)
        return state, todo

    def at(self, chain: Chain, consumed: int, state: State) -> Snapshot:
        """A place in the chain whose state has consumed so many tokens; the next one is pending."""
        key = self.states.key(chain.keys[consumed], chain.initial)
        return Snapshot(key, consumed + 1, state, chain.tokens[consumed : consumed + 1])

    def _start(self, request: GenerateRequest, chain: Chain, begin: Begin) -> Start:
        state, feed = self.opened(chain, begin)
        sampler, carry = self._sampler(request, chain, begin)
        samplers = tuple(
            replace(sampler, seed=(sampler.seed + index) % (1 << 63)) for index in range(request.n)
        )
        pause = 0 if chain.fork is None else chain.fork - 1 - (len(chain.tokens) - len(feed))
        drawn = request.continues if request.continues < MOST_DRAWN else 0
        chunk, before = prefill_chunk(self.info), self._before(request, chain)
        return Start(state, feed, samplers, carry, chunk, pause, drawn, before)

    def _before(self, request: GenerateRequest, chain: Chain) -> bytes:
        """The end of a cut reply, in which a stop text may have begun."""
        longest = max((len(each.encode(errors="replace")) for each in request.stop.texts), default=0)
        count = min(request.continues, longest)
        return self.tokenizer.decode_bytes(chain.tokens[len(chain.tokens) - count :]) if count else b""

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
        return replay(params, self.tokenizer, _seed(params), cut, request.earlier), decoder.carry

    def _reached(
        self, request: GenerateRequest, chain: Chain, start: Start, fed: Fed, *, saved: bool
    ) -> Iterator[Save]:
        """Remembers how far the chain has been fed; has the end of the prompt (or the fork) saved, unless
        that is where it began, from a state that is `saved`.
        """
        consumed = len(chain.tokens) - len(start.feed) + fed.done
        last = (chain.fork or len(chain.tokens)) - 1
        if fed.state is None or consumed > last or (consumed < last and not fed.done):
            return  # of an unfed state all is known; keys inside a long history are derived by walking it
        snapshot = self.at(chain, consumed, fed.state)
        if consumed == last:
            if request.continues and chain.fork is None:
                snapshot = replace(snapshot, sampler=start.samplers[0], carry=start.carry)
            self.states.remember(snapshot)
            if fed.done or not saved:
                yield Save(moved(snapshot, "cpu"))
        else:
            self.states.remember(snapshot, chain.keys)

    def _passing(self, chain: Chain, mark: Mark) -> Iterator[Save]:
        """A model without an id has no snapshots on the disk."""
        key = self.states.key(extend(mark.tokens, chain.keys[-1]), chain.initial)
        if key.model:
            length = len(chain.tokens) + len(mark.tokens)
            snapshot = Snapshot(key, length, mark.state, mark.pending, mark.sampler)
            yield Save(moved(snapshot, "cpu"), passing=True, row=mark.index)

    def _end(self, chain: Chain, usage: Usage, row: RowEnd) -> Iterator[Finished | Save]:
        usage = replace(
            usage,
            reply_tokens=len(row.tokens),
            decode_seconds=row.decode_seconds,
            seed=row.sampler.seed,
        )
        prefix = extend(row.tokens, chain.keys[-1])
        finished = Finished(row.index, row.reason, row.tokens, row.text, usage, prefix)
        if row.state is None or chain.fork is not None:
            yield finished
            return
        length = len(chain.tokens) + len(row.tokens)
        key = self.states.key(prefix, chain.initial)
        snapshot = Snapshot(key, length, row.state, row.pending, row.sampler, row.carry)
        if row.tokens:
            self.states.remember(snapshot)
        yield Save(moved(snapshot, "cpu"), finished)


def _seed(params: SamplingParams) -> int:
    return secrets.randbelow(FRESH_SEEDS) if params.seed is None else params.seed


def usage_of(chain: Chain, begin: Begin) -> Usage:
    """What will have been fed, before any of it was."""
    return Usage(
        prompt_tokens=len(chain.tokens) - max(begin.length, chain.new_from),
        history_tokens=max(0, chain.new_from - begin.length),
        source=begin.source,
    )
