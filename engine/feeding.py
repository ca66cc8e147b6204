"""Reading without answering: a chain is fed from its nearest known ancestor on, and its state is saved."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.devices import prefill_chunk
from engine.generate import prefill
from engine.replying import usage_of
from engine.saver import Save
from engine.states import chain_of, moved
from engine.types import Cancelled, Fed, Prefilled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.models.state import State
    from engine.replying import Voice
    from engine.states import Begin, Chain
    from engine.store.snapshot import Snapshot
    from engine.types import FeedRequest, Usage

CHECKPOINT_SECONDS = 60.0  # a reading of many minutes that is killed goes on from here


def feed(
    voice: Voice, request: FeedRequest, should_stop: Callable[[], bool]
) -> Iterator[Prefilled | Cancelled | Save]:
    """Reads the request's chain: progress, and at the end the snapshot whose writing tells `Fed`.

    Cancelled between two chunks, it has the state reached saved: the next request for the chain, of either
    kind, goes on from there.

    Raises:
        InvalidRequest: see `chain_of`.
    """
    chain = chain_of(request, voice.info.spec.vocab_size)
    begin = voice.states.find(chain)
    usage, found = usage_of(chain, begin), begin.snapshot
    if found and found.length == len(chain.tokens):
        yield Save(moved(found, "cpu"), Fed(chain.keys[-1], usage))
        return
    yield from _read(voice, chain, begin, usage, should_stop)


def _read(
    voice: Voice, chain: Chain, begin: Begin, usage: Usage, should_stop: Callable[[], bool]
) -> Iterator[Prefilled | Cancelled | Save]:
    opened, todo = voice.opened(chain, begin)
    began = saved = time.monotonic()
    for done, state in prefill(voice.model, opened, todo[:-1], prefill_chunk(voice.info)):
        snapshot = _remembered(voice, chain, len(chain.tokens) - len(todo) + done, state)
        yield Prefilled(done, len(todo), usage.history_tokens > 0)
        if should_stop():
            yield Save(moved(snapshot, "cpu"), Cancelled()) if done else Cancelled()
            return
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            yield Save(moved(snapshot, "cpu"))
        if done == len(todo) - 1:
            usage = replace(usage, prefill_seconds=time.monotonic() - began)
            yield Prefilled(len(todo), len(todo), usage.history_tokens > 0)
            yield Save(moved(snapshot, "cpu"), Fed(chain.keys[-1], usage))


def _remembered(voice: Voice, chain: Chain, consumed: int, state: State) -> Snapshot:
    """The place reached, remembered in the stead of those before it on this reading's way."""
    snapshot = voice.at(chain, consumed, state)
    voice.states.remember(snapshot, chain.keys)
    return snapshot
