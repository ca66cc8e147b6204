"""A fake model that keeps states in the real store: the fast form of the kills (`tests.chat.kill`).

Its state is a number that every token changes, so that a state of a wrong chain, an old one, or one that
misses a token is found by computing it again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from engine.errors import EngineError
from engine.models.state import State
from engine.prefix import extend
from engine.store.snapshot import Snapshot, layout_of
from engine.store.statestore import StateStore
from engine.types import (
    Cancelled,
    Event,
    Failed,
    Fed,
    FeedRequest,
    Finished,
    GenerateRequest,
    Held,
    Piece,
    ScoreRequest,
    StateKey,
    StoreUse,
    Thinned,
)
from rwkv_chat.paths import Paths
from tests.fakes import (
    ID,
    ByteTokenizer,
    FakeEnd,
    FakeEngine,
    FakeFeed,
    FakeGenerate,
    FakeJob,
    FakeReply,
    fake_session,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from engine.types import Ladder, ModelInfo, TokenIds
    from rwkv_chat.session import Session

BUDGET = 600_000  # bytes: some hundred states, so that some are given up
PASSING = 20  # pieces between two states of a reply that goes on
WORDS = ("state", "müde", "漢字", "a\n\nb", "👩‍🚀", "why?", "and then")


def fed(tokens: TokenIds, before: int = 0) -> int:
    """The number after these tokens."""
    for each in tokens:
        before = (before * 6364136223846793005 + each + 1442695040888963407) % 2**64
    return before


def snapshot(key: StateKey, number: int, length: int, last: int) -> Snapshot:
    """After a chain of `length` tokens that ends with `last`; the number has it all."""
    x = torch.tensor(list(number.to_bytes(8, "little")), dtype=torch.float32)
    return Snapshot(key, length, State("fake", {"x_B8": x[None]}), (last,))


LAYOUT = layout_of(snapshot(StateKey("", "", "", "", ""), 0, 1, 1).state)


def number_of(found: Snapshot) -> int:
    return int.from_bytes(bytes(int(each) for each in found.state.tensors["x_B8"][0]), "little")


def key_of(prefix: str) -> StateKey:
    return StateKey(ID, "fp32", "", "", prefix)


@dataclass
class StoringEngine(FakeEngine):
    """Replies of random length, and a state in the store after each message, at the end of each reply and on
    its way; it goes on from saved states as the real engine does.
    """

    home: Path | None = None
    seed: int = 0
    resumed: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.home is not None
        self.folder = Paths.under(self.home).states
        self.store = StateStore(self.folder, BUDGET)
        self.rng = random.Random(self.seed)

    def submit(self, request: GenerateRequest | FeedRequest | ScoreRequest) -> FakeJob:
        assert not isinstance(request, ScoreRequest), "no script asks for it"
        if isinstance(request, FeedRequest):
            return self._started(StoringFeed(request, self))
        texts = [self._text(request) for _ in range(request.n)]
        return self._started(StoringReply(request, FakeReply(texts[0], others=texts[1:]), self))

    def _text(self, request: GenerateRequest) -> str:
        """As long as is asked for; the same words for a seed where nothing is left to chance."""
        rng = random.Random(len(request.prompt)) if request.params.temperature == 0 else self.rng
        words = min(request.params.max_tokens or 100, rng.choice((3, 30, 600)))
        return " " + " ".join(rng.choices(WORDS, k=words))

    def begin(self, request: GenerateRequest | FeedRequest) -> tuple[int, int, str]:
        """(number, length, prefix) after the request's tokens, from a saved state where there is one."""
        history, prompt = request.history, request.prompt
        start = extend(history) if request.start is None else request.start
        found = self.resume(start) if history else None
        self.resumed.append(found is not None)
        number = number_of(found) if found is not None else fed(history)
        return fed(prompt, number), len(history) + len(prompt), extend(prompt, start)

    def resume(self, prefix: str) -> Snapshot | None:
        try:
            return self.store.load(key_of(prefix), LAYOUT, "fake")
        except EngineError:
            return None

    def save(self, number: int, length: int, prefix: str, last: int, *, passing: bool = False) -> None:
        made = snapshot(key_of(prefix), number, length, last)
        try:
            (self.store.save_passing if passing else self.store.save)(made)
        except EngineError:
            return

    # ------------------------------------------------------------------ the store

    def known(self, info: ModelInfo, prefixes: Iterable[str], initial: str = "") -> frozenset[str]:
        return frozenset(each for each in prefixes if key_of(each) in self.store)

    def forget(self, prefixes: Iterable[str], *, passing: bool = False) -> None:
        self.store.forget(prefixes, passing=passing)

    def keep(self, prefixes: Iterable[str]) -> None:
        self.store.keep(prefixes)

    def tell(self, ladders: Iterable[Ladder]) -> None:
        self.store.tell(ladders)

    def saved(self) -> dict[str, int]:
        return {each.name: each.stat().st_size for each in self.folder.glob("*.safetensors")}

    def file(self, key: StateKey) -> Path:
        return self.store.path(key)

    def hold(self, key: StateKey) -> FakeJob:
        try:
            return self._started(FakeEnd(Held(key, self.store.hold(key))))
        except EngineError as error:
            return self._started(FakeEnd(Failed(error)))

    def release(self, keys: Iterable[StateKey], *, forget: bool = False) -> None:
        self.store.release([self.store.path(each).name for each in keys], forget=forget)

    def thin(self) -> FakeJob:
        return self._started(FakeEnd(Thinned(*self.store.thin())))

    def use(self) -> FakeJob:
        return self._started(FakeEnd(StoreUse(*self.store.use(), 0, 0, ())))


class StoringReply(FakeGenerate):
    def __init__(self, request: GenerateRequest, reply: FakeReply, engine: StoringEngine) -> None:
        super().__init__(request, reply, 0.0005, 40)
        self.engine = engine

    async def __aiter__(self) -> AsyncIterator[Event]:
        number, length, prefix = self.engine.begin(self.request)
        before = (*self.request.history, *self.request.prompt)
        self.engine.save(number, length, prefix, before[-1])
        said: TokenIds = ()
        place, way = 0, []
        async for event in super().__aiter__():
            if isinstance(event, Piece) and event.index == 0:
                said, place = (*said, *event.tokens), place + 1
                if place % PASSING == 0:
                    way.append(key_of(extend(said, prefix)))
                    self.engine.save(
                        fed(said, number), length + len(said), way[-1].prefix, said[-1], passing=True
                    )
            if isinstance(event, Finished):
                tokens = event.tokens or ()
                last = (*before, *tokens)[-1]
                self.engine.save(fed(tokens, number), length + len(tokens), extend(tokens, prefix), last)
                self.engine.store.passed(way)
            yield event


class StoringFeed(FakeFeed):
    def __init__(self, request: FeedRequest, engine: StoringEngine) -> None:
        super().__init__(request, 0.0005)
        self.engine = engine

    async def __aiter__(self) -> AsyncIterator[Event]:
        number, length, prefix = self.engine.begin(self.request)
        async for event in super().__aiter__():
            if isinstance(event, Fed | Cancelled):
                self.engine.save(number, length, prefix, (*self.request.history, *self.request.prompt)[-1])
            yield event


async def open_fake(home: Path, seed: int = 0) -> Session:
    return await fake_session(home, StoringEngine(home=home, seed=seed))


__all__ = ["ByteTokenizer", "StoringEngine", "fed", "key_of", "number_of", "open_fake"]
