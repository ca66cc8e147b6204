"""Taking up a conversation: its state found and read from the disk, beside the least that it can cost."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import xxhash

from engine.bench.rows import ResumeRow
from engine.bench.subject import ids
from engine.ram import Ram
from engine.states import States, chain_of, moved
from engine.store.fingerprint import mark
from engine.store.snapshot import Snapshot
from engine.store.statestore import StateStore
from engine.types import FeedRequest, ModelInfo, TokenizerRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.bench.rows import Plan
    from engine.bench.subject import Running
    from engine.models.model import Model
    from engine.states import Chain

TOKENS = 64  # of the conversation; a state is as large after any number
TURNS = 25
BUDGET = 1 << 34


@dataclass(frozen=True, slots=True)
class Saved:
    """A conversation on the disk: its chain, and the store's file of the state after it."""

    chain: Chain
    states: States
    path: Path
    nbytes: int


def resume(plan: Plan, running: Running) -> Iterator[ResumeRow]:
    """Finding and taking up the state of a conversation, in turn with the bare read of the same file."""
    model, clock = running.model, running.clock
    with tempfile.TemporaryDirectory() as folder:
        saved = _saved(plan, model, Path(folder))
        ours, floors = [], []
        for _ in range(TURNS):
            ours.append(clock.once(lambda: _taken_up(saved)))
            floors.append(clock.once(lambda: _floor(saved, model.device)))
    ratio = statistics.median(a / b for a, b in zip(ours, floors, strict=True))
    yield ResumeRow(saved.nbytes, statistics.median(ours), statistics.median(floors), ratio)


def _saved(plan: Plan, model: Model, folder: Path) -> Saved:
    tokens = tuple(ids(model, TOKENS).tolist())
    chain = chain_of(FeedRequest(prompt=tokens), model.spec.vocab_size)
    info = ModelInfo(
        id="0" * 64,
        path=plan.path,
        spec=model.spec,
        tier=model.tier,
        device=str(model.device),
        tokenizer=TokenizerRef(),
        nbytes=model.nbytes,
        state_nbytes=0,
    )
    store = StateStore(folder, BUDGET)
    states = States(info, model.zero_state(), store, mark(Path(plan.path)), Ram(0))
    _, state = model.forward(torch.tensor([tokens[:-1]], device=model.device), model.zero_state())
    key = states.key(chain.keys[TOKENS - 1])
    snapshot = moved(Snapshot(key, TOKENS, state, tokens[-1:]), "cpu")
    return Saved(chain, states, store.path(key), store.save(snapshot))


def _taken_up(saved: Saved) -> None:
    begin = saved.states.find(saved.chain)
    if begin.source != "disk":
        raise RuntimeError(begin.source)  # it would not measure what it says


def _floor(saved: Saved, device: torch.device) -> None:
    """The file read at once, its checksum, and the bytes on the device."""
    data = bytearray(saved.nbytes)
    with saved.path.open("rb", buffering=0) as file:
        file.readinto(data)
    xxhash.xxh3_128(data).digest()
    torch.frombuffer(data, dtype=torch.uint8).to(device)
