"""Rows that are fed together: of like length, each with a state of its own, long ones in pieces.

What comes out is what each row gives alone, in losses and in gradients, and little of what is fed is padding.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
import torch

from engine.tune.batches import feeds, from_rows
from engine.tune.rows import plain
from engine.tune.subject import open_subject
from tests.engine import tiny
from tests.engine.tuning import config, losses, styled_rows, subject, trainer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.types import ModelSpec, Row

ARCHS = ("rwkv5.0", "rwkv5.1", "rwkv5.2", "rwkv6", "rwkv7")
METHODS = ("state", "lora", "pissa", "miss", "full")
CONTEXT = 16
LENGTHS = (3, 18, 8, 34, 2, 11)  # one more than what is fed: shorter than a chunk, over it, in three pieces


def spec_of(arch: str) -> ModelSpec:
    return tiny.spec(arch=arch, vocab_size=24)


def row(length: int) -> Row:
    rng = Random(length)
    return [rng.randrange(24) for _ in range(length)], [
        rng.choice((0.0, 0.5, 1.0)) for _ in range(length - 1)
    ] + [1.0]


ROWS = [row(n) for n in LENGTHS]


def gradients(path: Path, method: str, at_once: int) -> tuple[float, dict[str, Tensor]]:
    """The summed loss of all rows, and what each trained tensor gets of it."""
    made = open_subject(config(str(path), method=method, context=CONTEXT, batch_size=len(ROWS)))
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for x in made.trained.values():  # adapters begin with a factor of zeros, states are zeros
            x += 0.1 * torch.randn(x.shape, generator=rng)
    of = trainer(made)
    parts = feeds(ROWS, CONTEXT, at_once)
    total = sum(of._gradients(each, 1.0, last=each is parts[-1]) for each in parts)
    return total, {name: x.grad for name, x in made.trained.items() if x.grad is not None}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("arch", ARCHS)
def test_rows_together_are_the_rows_alone(arch: str, method: str, tmp_path: Path) -> None:
    """Whatever stands beside a row, before it or in its padding: loss and gradients are those of it alone."""
    path = tiny.checkpoint(tmp_path / "model.safetensors", spec_of(arch))
    loss, expected = gradients(path, method, 1)
    assert any(float(x.abs().max()) > 0 for x in expected.values())
    for at_once in (len(ROWS), 4):
        together, found = gradients(path, method, at_once)
        assert together == pytest.approx(loss, rel=1e-5)
        assert found.keys() == expected.keys()
        for name, x in found.items():
            scale = float(expected[name].abs().max())
            torch.testing.assert_close(x, expected[name], rtol=1e-3, atol=1e-4 * scale)


def test_rows_do_not_see_each_other() -> None:
    """Every row begins with a state of its own: its loss is the same whatever is fed beside or before."""
    rows = [next(iter(styled_rows(i))) for i in range(6)]
    alone = [trainer(subject(), validation=[each]).evaluate() for each in rows]
    together = trainer(subject(micro_batch=3), validation=rows).evaluate()
    assert together == pytest.approx(sum(alone) / 6, rel=1e-5)


@pytest.mark.parametrize("arch", [*ARCHS, "rwkv4"])
def test_a_long_row_carries_its_state(arch: str) -> None:
    """In pieces the losses are those of the whole; only the gradient ends at a piece's start."""
    long: Row = ([x % 24 for x in range(0, 7 * 100, 7)], [1.0] * 100)
    method = "lora" if arch == "rwkv4" else "state"  # whose state is not tuned

    def made(context: int) -> tuple[float, list[float]]:
        def one():
            return subject(spec_of(arch), method, context=context, steps=1, batch_size=1)

        steps = losses(trainer(one(), lambda _: iter([long])).run())
        return trainer(one(), validation=[long]).evaluate(), steps

    whole, pieces = made(128), made(CONTEXT)
    assert pieces[0] == pytest.approx(whole[0], rel=1e-5)
    assert pieces[1] == pytest.approx(whole[1], rel=1e-5)
    apart = [([*long[0][i : i + CONTEXT + 1]], [1.0] * 100) for i in range(0, 99, CONTEXT)]
    forgetful = trainer(
        subject(spec_of(arch), method), validation=[(x, w[: len(x)]) for x, w in apart]
    ).evaluate()
    assert forgetful != pytest.approx(whole[0], rel=1e-3)


def padded(lengths: list[int], batch_size: int, context: int) -> float:
    """Of what is fed in one time through, the share that is padding."""
    rows = plain([([1] * n, [1.0] * n) for n in lengths])
    batch = from_rows(rows, batch_size, 0)
    parts = [
        each
        for step in range(len(rows) // batch_size)
        for each in feeds(batch(step), context, most=batch_size)
    ]
    fed = sum(piece.inputs.numel() for each in parts for piece in each.pieces())
    return 1 - sum(each.tokens for each in parts) / fed


@pytest.mark.parametrize("count", [40, 200, 2000])
@pytest.mark.parametrize("spread", [0.3, 0.7, 1.0])
def test_little_is_padding(count: int, spread: float) -> None:
    """Lengths as those of dialogues are: one in a hundred is three to ten times the usual one."""
    rng = Random(3)
    lengths = [max(2, round(rng.lognormvariate(5.0, spread))) for _ in range(count)]
    shares = {batch: padded(lengths, batch, 1024) for batch in (8, 32)}
    print(f"{count} rows, spread {spread}: " + ", ".join(f"{x:.1%} at {n}" for n, x in shares.items()))
    assert max(shares.values()) < 0.25
