"""Seconds from `submit` to the first piece where a saved state is gone on from, as after a branch, an undo, a
switch or another reply: beside what cannot be saved, that is reading the state's file, its checksum, its
copy, and one decode step.

    python -m tests.bench.turns [--busy] [WIDTH LAYERS]      (768 and 12 unless given: a 0.1B model's shape)

The engine is a thread, then a process. With `--busy` it is the processor's seconds, of all threads, for a
machine that others use too; of the thread alone, since a process's are not seen from here. The model is
random, and says nothing but whole characters: a piece of its text is a token. The state is read from the disk
each time: nothing is kept in memory, and each turn goes on from another one than the last. No state knows how
long its history was, so one of 100,000 tokens is not fed here either.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
import xxhash

from engine.models.state import State
from engine.prefix import extend
from engine.service import Engine
from engine.states import REMEMBERED
from engine.store.snapshot import Snapshot
from engine.store.statestore import StateStore
from engine.types import Finished, LoadRequest, Piece, SamplingParams, StateKey
from tests.engine import tiny
from tests.engine.small import VOCABULARY, load, request, write_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.types import GenerateRequest, ModelInfo, ModelSpec, TokenIds

    Clock = Callable[[], float]
    Kind = Literal["thread", "process"]

PLACES = 2 * REMEMBERED  # states that are gone on from in turn
MESSAGE = 20  # tokens of the message that is replied to again
STEPS = 24
LENGTHS = (100, 100_000)
BROKEN = tuple(
    token for token in range(VOCABULARY) if not 32 <= token - 1 < 127
)  # id 0 and bytes beyond ASCII


@dataclass(frozen=True, slots=True)
class Row:
    """Of the turns on one length of history: the shortest way to the first piece, medians of the others.

    Attributes:
        ratio: median of each turn's way to its first piece to 1.2 × `floor` + its own steps' mean.
    """

    history: int
    nbytes: int
    shortest: float
    first: float
    floor: float
    step: float
    ratio: float


@contextmanager
def running(folder: Path, of: ModelSpec, worker: Kind = "thread") -> Iterator[tuple[Engine, ModelInfo]]:
    """An engine on a random model, that keeps no state in memory."""
    path = tiny.checkpoint(folder / "model.safetensors", of)
    asked = LoadRequest(str(path), write_tokenizer(folder / "tokenizer.json"), "cpu", "fp32")
    engine = Engine(folder / "states", cache=folder / "cache", worker=worker, threads=1, ram_bytes=0)
    try:
        yield engine, load(engine, asked)
    finally:
        engine.close()


def chains(length: int) -> list[TokenIds]:
    """Different from their first token on."""
    made = torch.Generator().manual_seed(1)
    return [tuple(torch.randint(1, 200, (length,), generator=made).tolist()) for _ in range(PLACES)]


def save(folder: Path, info: ModelInfo, chain: TokenIds) -> Path:
    """A random state after a chain, as the store keeps it."""
    store = StateStore(folder / "states", 1 << 34)
    of, made = info.spec, torch.Generator().manual_seed(len(chain))
    shapes = {
        "wkv_BLHVK": (1, of.n_layer, of.n_embd // of.head_size, of.head_size, of.head_size),
        "att_shift_BLC": (1, of.n_layer, of.n_embd),
        "ffn_shift_BLC": (1, of.n_layer, of.n_embd),
    }
    state = State("rwkv7", {name: torch.randn(each, generator=made) * 0.01 for name, each in shapes.items()})
    key = StateKey(info.id, info.tier, info.adapter, "", extend(chain))
    store.save(Snapshot(key, len(chain), state, chain[-1:]))
    return store.path(key)


def measure(
    folder: Path,
    engine: Engine,
    info: ModelInfo,
    length: int,
    times: int = 3,
    clock: Clock = time.perf_counter,
) -> Row:
    """Every state is gone on from `times` times, in turn with the floor."""
    said = chains(length)
    files, asked = [save(folder, info, each) for each in said], [_asked(each) for each in said]
    gc.collect()  # what was just made is not looked through on the way
    turns = [
        (_floor(file, clock), *_turn(engine, each, clock))
        for _ in range(times)
        for each, file in zip(asked, files, strict=True)
    ]
    floors, firsts, steps = zip(*turns, strict=True)
    floor = statistics.median(floors)
    ratio = statistics.median(first / (1.2 * floor + step) for _, first, step in turns)
    first, step = statistics.median(firsts), statistics.median(steps)
    return Row(length, files[0].stat().st_size, min(firsts), first, floor, step, ratio)


def _asked(chain: TokenIds) -> GenerateRequest:
    """Another reply to a chain's last message."""
    history, prompt = chain[:-MESSAGE], chain[-MESSAGE:]
    params = SamplingParams(temperature=0, max_tokens=STEPS, bans=BROKEN)
    return request(prompt, history, start=extend(history), params=params)


def _turn(engine: Engine, asked: GenerateRequest, clock: Clock) -> tuple[float, float]:
    """Seconds to the first piece, and a step's after it."""
    begun = clock()
    seen = []
    for event in engine.submit(asked):
        if isinstance(event, Piece):
            seen += [clock()] * len(event.tokens)
        if isinstance(event, Finished):
            if event.usage.history_tokens or event.usage.source != "disk" or len(seen) != STEPS:
                raise RuntimeError(event.usage)  # it would not measure what it says
            return seen[0] - begun, (seen[-1] - seen[0]) / (len(seen) - 1)
    raise RuntimeError("no reply")


def _floor(file: Path, clock: Clock) -> float:
    """Reading, checksum, copy."""
    begun = clock()
    data = bytearray(file.stat().st_size)
    with file.open("rb", buffering=0) as opened:
        opened.readinto(data)
    xxhash.xxh3_128(data).digest()
    torch.frombuffer(data, dtype=torch.uint8).clone()
    return clock() - begun


def main(width: int = 768, layers: int = 12, *, busy: bool = False) -> None:
    torch.set_num_threads(1)
    of = tiny.spec(n_layer=layers, n_embd=width, head_size=64, vocab_size=VOCABULARY, rank=32)
    kinds: tuple[Kind, ...] = ("thread",) if busy else ("thread", "process")
    clock = time.process_time if busy else time.perf_counter
    for kind in kinds:
        with _folder() as folder, running(folder, of, kind) as (engine, info):
            for length in LENGTHS:
                row = measure(folder, engine, info, length, clock=clock)
                print(f"{kind}: {_told(row)}", flush=True)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rwkv-chat-turns-") as name:
        yield Path(name)


def _told(row: Row) -> str:
    return (
        f"{row.history:7,} tokens, state of {row.nbytes / 1e6:.1f} MB: first piece {row.first * 1e3:.2f} ms, "
        f"file {row.floor * 1e3:.2f} ms, step {row.step * 1e3:.2f} ms: {row.ratio:.3f} of 1.2 × file + step"
    )


if __name__ == "__main__":
    sizes = [int(each) for each in sys.argv[1:] if each != "--busy"]
    main(*sizes[:2], busy="--busy" in sys.argv)
