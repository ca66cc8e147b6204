"""State tuning on a CPU: our step beside plain autograd through the serial recurrence, and wkv's share of it.

    python -m tests.bench.tuning [rounds] [layers] [width] [tokens] [dtype]

A random model of a released one's shape and vocabulary (12 768: 0.1B), one row. Both take turns in one
process on one thread, by processor time. "serial" is the same model with `wkv7` token by token, plain
autograd through it and through all logits at once, nothing computed twice; ours is what `engine.tune` does,
keeping all activations ("plain") or computing each block again ("recompute"). The share of wkv is that of its
forward and backward, in our step.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from engine.models import ARCHITECTURES, rwkv7
from engine.models.prepare import prepare
from engine.ops.wkv7 import chunk
from engine.ops.wkv7.naive import wkv7_naive
from engine.tune.batches import feeds
from engine.tune.head import head_loss_naive
from engine.tune.optimizer import make_optimizer
from engine.tune.subject import Subject
from engine.types import ModelSpec, TuneConfig
from tests.engine import tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.tune.batches import Piece

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
RANKS = (("a", 64), ("g", 128), ("v", 32), ("w", 64))


def subject_of(layers: int, width: int, dtype: str, *, recompute: bool) -> Subject:
    spec = ModelSpec("rwkv7", layers, width, 64, 4 * width, 65536, RANKS)
    model = ARCHITECTURES["rwkv7"](spec, prepare(tiny.plain_tensors(spec), spec, DTYPES[dtype]))
    model.recompute = recompute
    return Subject(model, TuneConfig("", base=dtype, recompute=recompute), {})


def piece_of(tokens: int) -> Piece:
    """A row of which the second half is learnt, as in a dialogue."""
    ids = torch.randint(1, 65536, (tokens + 1,), generator=torch.Generator().manual_seed(1)).tolist()
    weights = [0.0] * (tokens // 2) + [1.0] * (tokens + 1 - tokens // 2)
    (feed,) = feeds([(ids, weights)], tokens)
    return next(feed.pieces())


def ours(made: Subject, piece: Piece, optimizer: torch.optim.Optimizer) -> None:
    loss, _ = made(piece, None)
    (loss / piece.weights.sum()).backward()
    optimizer.step()
    optimizer.zero_grad()


def serial(made: Subject, piece: Piece, optimizer: torch.optim.Optimizer) -> None:
    """Token by token, nothing computed twice, every logit at once."""
    with replaced_by_naive():
        hidden, head, _ = made.model.hidden(piece.inputs, made.begin(1))
    loss = head_loss_naive(hidden, head, piece.targets, piece.weights)
    (loss / piece.weights.sum()).backward()
    optimizer.step()
    optimizer.zero_grad()


def _naive(*arguments: Any) -> Any:
    return wkv7_naive(*arguments[:7])


@contextmanager
def replaced_by_naive() -> Iterator[None]:
    before, rwkv7.wkv7 = rwkv7.wkv7, _naive
    try:
        yield
    finally:
        rwkv7.wkv7 = before


@contextmanager
def timed() -> Iterator[list[float]]:
    """Seconds of wkv, forward and backward, while inside."""
    spent: list[float] = []
    kept = {name: chunk._Wkv7Chunk.__dict__[name] for name in ("forward", "backward")}

    def around(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            begun = time.process_time()
            try:
                return function(*arguments)
            finally:
                spent.append(time.process_time() - begun)

        return call

    for name, method in kept.items():
        setattr(chunk._Wkv7Chunk, name, staticmethod(around(method.__func__)))
    try:
        yield spent
    finally:
        for name, method in kept.items():
            setattr(chunk._Wkv7Chunk, name, method)


def seconds(work: Any, *arguments: Any) -> float:
    begun = time.process_time()
    work(*arguments)
    return time.process_time() - begun


def main() -> None:
    rounds, layers, width, tokens = (
        int(x) for x in (*sys.argv[1:5], *(3, 12, 768, 512)[len(sys.argv[1:5]) :])
    )
    dtype = sys.argv[5] if len(sys.argv) > 5 else "bf16"
    torch.set_num_threads(1)
    piece = piece_of(tokens)
    print(
        f"L{layers} C{width}, {tokens} tokens, {dtype}, one thread, load {os.getloadavg()[0]:.1f}", flush=True
    )
    made = {
        way: subject_of(layers, width, dtype, recompute=way == "recompute") for way in ("plain", "recompute")
    }
    for way, each in made.items():
        optimizer = make_optimizer(dict(each.trained), each.config)
        pairs, shares = [], []
        for i in range(rounds + 1):
            with timed() as spent:
                mine = seconds(ours, each, piece, optimizer)
            assert len(spent) == layers * (3 if way == "recompute" else 2)
            if i:  # the first warms up
                shares.append(sum(spent) / mine)
                pairs.append((mine, seconds(serial, made["plain"], piece, optimizer)))
        speed = tokens / statistics.median(mine for mine, _ in pairs)
        ratio = statistics.median(theirs / mine for mine, theirs in pairs)
        share = statistics.median(shares)
        print(
            f"{way}: {speed:.0f} tokens/s, {ratio:.2f} x serial (bar: 2), wkv {share:.1%} (bar: 30 %)",
            flush=True,
        )


if __name__ == "__main__":
    main()
