"""Months of use: 300 conversations of 200 messages with a model of 7.2B, whose state has 35 MB. Files are as
large as they would be and hold nothing; what is saved, given up, found and read is decided by the real code.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine.models.state import State
from engine.prefix import EMPTY, extend
from engine.ram import Ram
from engine.states import States, chain_of
from engine.store import snapshot as snapshots
from engine.store import writing
from engine.store.fingerprint import Mark
from engine.store.snapshot import Snapshot
from engine.store.statestore import StateStore
from engine.types import FeedRequest, Ladder, ModelInfo, ModelSpec, TokenizerRef

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Sample

STATE = 35_000_000
BUDGET = 20_000_000_000
CONVERSATIONS, MESSAGES = 300, 200
SPEC = ModelSpec("rwkv7", 32, 4096, 64, 16384, 65536)
INFO = ModelInfo("a" * 64, "", SPEC, "fp16", "cpu", TokenizerRef(), 0, STATE)
EMPTY_STATE = State("rwkv7", {"wkv_BLHVK": torch.zeros(1, 1)})


@dataclass
class World:
    """A store whose files are hollow, and a clock of its own."""

    store: StateStore
    now: float = 1e9
    reads: int = 0
    chains: dict[str, tuple[int, int]] = field(default_factory=dict)  # key → length, last token


class Hollow(bytes):
    """As many bytes as a state has, of which none is there."""

    def __len__(self) -> int:
        return STATE


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(StateStore(tmp_path / "states", BUDGET))
    made.store.clock = lambda: made.now

    def write(path: Path, data: Hollow) -> None:
        with path.open("wb") as file:
            file.truncate(len(data))
        os.utime(path, (made.now, made.now))

    def read(path: Path, key: Any, layout: object, arch: str) -> Snapshot:
        path.stat()  # FileNotFoundError
        made.reads += 1
        length, token = made.chains[key.prefix]
        return Snapshot(key, length, EMPTY_STATE, (token,))

    monkeypatch.setattr(writing, "write", write)
    monkeypatch.setattr(snapshots, "to_bytes", lambda _: Hollow())
    monkeypatch.setattr(snapshots, "read", read)
    return made


@dataclass
class Conversation:
    """A chain of one token for each message; what was read of it before its last message was said."""

    number: int
    keys: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def say(self, world: World) -> None:
        token = 1000 + self.number * MESSAGES + len(self.tokens)
        key = extend((token,), self.keys[-1] if self.keys else EMPTY)
        self.tokens.append(token)
        self.keys.append(key)
        world.chains[key] = len(self.tokens), token
        state_key = States(INFO, EMPTY_STATE, None, Mark(()), Ram(0)).key(key)
        world.store.save(Snapshot(state_key, len(self.tokens), EMPTY_STATE, (token,)))

    def ladder(self) -> Ladder:
        parents = tuple(range(-1, len(self.keys) - 1))
        return Ladder(str(self.number), tuple(self.keys), parents, tuple(self.keys[-1:]))

    def open(self, world: World, messages: int) -> tuple[int, int]:
        """(states read, messages to be read again) to stand after so many of its messages, in a new run."""
        states = States(INFO, EMPTY_STATE, world.store, Mark(()), Ram(0))
        before = world.reads
        begin = states.find(chain_of(FeedRequest(tuple(self.tokens[:messages])), 10**9))
        return world.reads - before, messages - begin.length


def live(world: World, conversations: int, rng: random.Random) -> list[Conversation]:
    """They are all begun and gone on with, a few at a time, with days in between."""
    all_, open_ = [Conversation(n) for n in range(conversations)], list[Conversation]()
    waiting = list(all_)
    while waiting or open_:
        while waiting and len(open_) < 8:
            open_.append(waiting.pop())
        talk = rng.choice(open_)
        world.now += rng.choice((600.0, 4_000.0, 90_000.0))
        for _ in range(rng.choice((2, 6, 20))):
            if len(talk.tokens) == MESSAGES:
                open_.remove(talk)
                break
            talk.say(world)
            world.now += 20
            assert world.store.used() <= world.store.budget
        world.store.tell([talk.ladder()])
    return all_


def test_hundreds_of_conversations_stay_within_20_gb_and_open_at_once(world: World, sample: Sample) -> None:
    count = sample("conversations of 200 messages", 12, CONVERSATIONS)
    world.store.budget = BUDGET * count // CONVERSATIONS
    rng = random.Random(6)
    everyone = live(world, count, rng)
    disk = sum(each.stat().st_size for each in world.store.folder.iterdir())
    assert 0.9 * world.store.budget < disk <= world.store.budget, "all of the room is put to use"

    opened = [each.open(world, MESSAGES) for each in everyone]
    assert opened == [(1, 0)] * count, "one read, and nothing is read again"
    for each in everyone:
        reads, again = each.open(world, rng.randrange(1, MESSAGES))
        assert reads <= 1
        assert again < MESSAGES

    world.store.budget //= 4  # less than the tips of all
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "now", world.now + 1)
        everyone[0].open(world, MESSAGES)  # the last that was used
        world.store.set_budget(world.store.budget)
    assert world.store.used() <= world.store.budget
    assert everyone[0].open(world, MESSAGES) == (1, 0)
    costs = [each.open(world, MESSAGES) for each in everyone]
    assert {reads for reads, _ in costs} <= {0, 1}
    assert any(again == MESSAGES for _, again in costs), "a rebuild from the beginning"
