"""Prefill and decode as generators: no thread, no disk. Batch-first: n alternatives are n rows of one batch.

A state is kept so that it has consumed all tokens of its chain but at least one, which is *pending*: whoever
takes it up feeds the pending tokens and so has logits to draw from. Nothing is ever fed again to give up
tokens: older states of the reply are still held (a state is a value), so the newest one that fits is taken.

Decoding has two loops that give the same events: `_plain` draws on the CPU from the model's logits; `_ahead`
has a `DecodeGraph` do everything on the device and reads each token while the next one is being computed.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch

from engine.errors import InvalidRequest
from engine.graphs import queued
from engine.row import RING, Mark, Row, RowEnd, Start
from engine.sampling import Sampler, restrictions
from engine.types import Resampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from engine.graphs import DecodeGraph
    from engine.models.state import State
    from engine.tokenizer import Tokenizer
    from engine.types import GenerateRequest, Piece, SamplingParams, TokenIds

__all__ = ["RING", "Fed", "Mark", "RowEnd", "Start", "generate", "prefill"]


class Model(Protocol):
    """What generation needs of a model (`engine.models`)."""

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]: ...

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]: ...


class Graphs(Protocol):
    """Lends decode graphs (`engine.fleet`)."""

    def take(self, batch: int) -> DecodeGraph | None: ...

    def give_back(self, graph: DecodeGraph) -> None: ...


@dataclass(frozen=True, slots=True)
class Fed:
    """`done` of `total` tokens were fed; `state` has consumed exactly those. None after the last one."""

    done: int
    total: int
    state: State | None


def generate(
    model: Model,
    tokenizer: Tokenizer,
    request: GenerateRequest,
    start: Start,
    should_stop: Callable[[], bool] = lambda: False,
    graphs: Graphs | None = None,
    changed: Callable[[], SamplingParams | None] = lambda: None,
) -> Iterator[Fed | Piece | Resampled | Mark | RowEnd]:
    """A reply: `Fed` from none to all but one to all; then pieces, a `Mark` of each row now and then, and a
    `RowEnd` for each.

    `should_stop` is asked before each chunk and each token, `changed` (params to go on with, once) before
    each token. Where `graphs` lends one, decoding runs ahead.
    """
    *body, last = start.feed
    state = start.state
    for done, state in _fed(model, start, tuple(body)):
        yield Fed(done, len(start.feed), state)
        if should_stop():
            for index, sampler in enumerate(start.samplers):
                yield RowEnd(index, "cancelled", (), "", None, (), sampler, start.carry)
            return
    start = replace(start, state=state, feed=(last,))
    graph = graphs.take(len(start.samplers)) if graphs else None
    if graph is None or graphs is None:
        yield from _plain(model, tokenizer, request, start, should_stop, changed)
        return
    try:
        yield from _ahead(graph, tokenizer, request, start, should_stop, changed)
    finally:
        graphs.give_back(graph)


def prefill(
    model: Model, state: State, tokens: TokenIds, chunk: int, pause: int = 0
) -> Iterator[tuple[int, State]]:
    """Feeds `tokens` after `state` (batch 1), `chunk` at a time: (tokens done, state), from none on.

    A chunk ends at `pause` too. A GPU may still be at work on the last one told, and on no other.
    """
    yield 0, state
    ends = {*range(chunk, len(tokens), chunk), len(tokens)} - {0}
    if 0 < pause < len(tokens):
        ends.add(pause)
    at, wait = 0, None
    for end in sorted(ends):
        _, state = model.forward(_ids([tokens[at:end]], state), state)
        at, before, wait = end, wait, queued(_device(state))
        if before:
            before()
        yield at, state


def _fed(model: Model, start: Start, tokens: TokenIds) -> Iterator[tuple[int, State]]:
    """`prefill`, but that tokens which were drawn are fed as they were when they were drawn: a state of the
    same tokens is the same to the last bit only where they were fed in the same portions.
    """
    whole, state = len(tokens) - min(len(tokens), start.drawn), start.state
    for done, fed in prefill(model, start.state, tokens[:whole], start.chunk, start.pause):
        state = fed
        yield done, state
    for done, token in enumerate(tokens[whole:], whole + 1):
        _, state = model.step(_ids((token,), state), state)
        if done % start.chunk == 0 or done == len(tokens):
            yield done, state


def _plain(
    model: Model,
    tokenizer: Tokenizer,
    request: GenerateRequest,
    start: Start,
    should_stop: Callable[[], bool],
    changed: Callable[[], SamplingParams | None],
) -> Iterator[Fed | Piece | Resampled | Mark | RowEnd]:
    """Feeds the one token of `start.feed` and draws until every row has ended."""
    began = time.monotonic()
    logits, batch = model.step(_ids(start.feed, start.state), start.state)
    yield Fed(1, 1, None)
    rows = _rows(tokenizer, request, start, restrictions(request.params, tokenizer, logits.shape[-1]))
    if len(rows) > 1:
        logits, batch = logits.expand(len(rows), -1), batch.select([0] * len(rows))
    for drawn in itertools.count():
        cancelled = should_stop()
        if (change := _change(changed(), start, tokenizer, logits.shape[-1], drawn)) is not None:
            _apply(change, rows)
            yield change.told
        for at, (row, its) in enumerate(zip(rows, logits.float().cpu(), strict=True)):
            row.hold(batch, at)
            if cancelled:
                row.cancel()
            else:
                yield from row.marks()
                yield from row.advance(its)
            if row.reason:
                yield row.end(time.monotonic() - began)
        alive = [at for at, row in enumerate(rows) if not row.reason]
        if not alive:
            return
        if len(alive) < len(rows):
            rows, batch = [rows[at] for at in alive], batch.select(alive)
        logits, batch = model.step(_ids([row.newest for row in rows], batch), batch)


def _ahead(
    graph: DecodeGraph,
    tokenizer: Tokenizer,
    request: GenerateRequest,
    start: Start,
    should_stop: Callable[[], bool],
    changed: Callable[[], SamplingParams | None],
) -> Iterator[Fed | Piece | Resampled | Mark | RowEnd]:
    """The same on the device. A row that has ended stays in the batch; nobody looks at it any more."""
    began = time.monotonic()
    added = restrictions(request.params, tokenizer, graph.vocab)
    rows = _rows(tokenizer, request, start, added)
    (token,) = start.feed
    graph.begin(start.state, token, start.samplers, request.params, added)
    graph.queue()
    yield Fed(1, 1, None)
    longest = request.params.max_tokens
    for drawn in itertools.count(1):
        batch = graph.state()
        if (change := _change(changed(), start, tokenizer, graph.vocab, drawn)) is not None:
            _apply(change, rows)
            for at in range(len(rows)):
                graph.change(at, change.told.params, change.added)
            longest = change.told.params.max_tokens
            yield change.told
        if drawn < longest:
            graph.queue()
        read = None if should_stop() else graph.read()
        for at, row in enumerate(rows):
            if row.reason:
                continue
            row.hold(batch, at)
            if read is None:
                row.cancel()
            else:
                yield from row.marks()
                yield from row.accept(read.tokens[at])
            if row.reason:
                yield row.end(time.monotonic() - began)
        if all(row.reason for row in rows):
            return


@dataclass(frozen=True, slots=True)
class _Change:
    """Other params, and what they add to the logits [O]."""

    told: Resampled
    added: Tensor


def _change(
    params: SamplingParams | None, start: Start, tokenizer: Tokenizer, vocab: int, drawn: int
) -> _Change | None:
    """From the next token on, after so many of this request. None where there is nothing to change, or
    nothing would be left to draw.
    """
    if params is None:
        return None
    sampler = start.samplers[0]
    told = Resampled(sampler.position + drawn, replace(params, seed=sampler.seed))
    try:
        return _Change(told, restrictions(params, tokenizer, vocab))
    except InvalidRequest:
        return None


def _apply(change: _Change, rows: list[Row]) -> None:
    for row in rows:
        row.change(change.told.params, change.added, change.told.position)


def _rows(tokenizer: Tokenizer, request: GenerateRequest, start: Start, added: Tensor) -> list[Row]:
    return [
        Row(index, tokenizer, request, Sampler(request.params, tokenizer, added, each), start)
        for index, each in enumerate(start.samplers)
    ]


def _ids(tokens: list[TokenIds] | list[int] | TokenIds, state: State) -> Tensor:
    return torch.tensor(tokens, dtype=torch.int64, device=_device(state))


def _device(state: State) -> torch.device:
    return next(iter(state.tensors.values())).device
