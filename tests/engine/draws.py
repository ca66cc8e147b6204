"""Random cases for the sampler: the same rows for its plain form and for another one, step by step."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from engine.ops.sample.naive import sample
from engine.ops.sample.rows import AHEAD, Rows
from engine.sampling import uniform
from engine.types import SamplingParams

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Draw = Callable[[Tensor, Rows, Tensor], None]

SIZES = (2, 7, 40, 300, 300, 2500, 5000)
STEPS = 3


@dataclass
class Found:
    """Draws compared; those that differ, and of them those that rounding does not explain."""

    draws: int = 0
    differ: int = 0
    wrong: int = 0


def random_params(rng: random.Random) -> SamplingParams:
    return SamplingParams(
        temperature=rng.choice((0, 0.05, 0.5, 1.0, 1.0, 1.7, 5.0)),
        top_p=rng.choice((0.0, 0.1, 0.5, 0.9, 0.999, 1.0)),
        top_k=rng.choice((0, 0, 1, 2, 5, 40, 65536)),
        min_p=rng.choice((0.0, 0.0, 0.05, 0.5, 1.0)),
        presence_penalty=rng.choice((0.0, 0.5, -1.0)),
        frequency_penalty=rng.choice((0.0, 0.3, 2.0)),
        penalty_decay=rng.choice((0.996, 0.5)),
    )


def random_logits(rng: random.Random, size: int) -> Tensor:
    """Now and then many are equal, nearly all are equal, or one stands out."""
    made = torch.Generator().manual_seed(rng.randrange(1 << 30))
    if rng.random() < 0.5:
        return torch.randint(-20, 20, (1, size), generator=made) / 4
    return torch.randn(1, size, generator=made) * rng.choice((0.05, 1.0, 3.0, 9.0))


def compare(plain: Draw, other: Draw, cases: int, seed: int, device: str = "cpu") -> Found:
    """`cases` replies of `STEPS` draws each, in rows that hold penalties and bans."""
    rng, found = random.Random(seed), Found()
    for _ in range(cases):
        _reply(plain, other, rng, found, device)
    return found


def _reply(plain: Draw, other: Draw, rng: random.Random, found: Found, device: str) -> None:
    size, params = rng.choice(SIZES), random_params(rng)
    made = torch.Generator().manual_seed(rng.randrange(1 << 30))
    exempt = (torch.rand(size, generator=made) < 0.2).to(torch.uint8)
    held = {rng.randrange(size): rng.random() * 3 for _ in range(rng.randint(0, 4))}
    added = torch.where(torch.rand(size, generator=made) < 0.1 * rng.randint(0, 1), -torch.inf, 0.0)
    added[rng.randrange(size)] = 1.0
    chances = [[uniform(rng.randrange(1 << 20), step) for step in range(AHEAD)]]
    ours, theirs = Rows.empty(1, exempt), Rows.empty(1, exempt.to(device))
    for rows in (ours, theirs):
        rows.begin(0, params, added, held.items())
        rows.foresee(chances)
    for step in range(STEPS):
        logits = random_logits(rng, size)
        one, two = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64, device=device)
        plain(logits, ours, one)
        other(logits.to(device), theirs, two)
        _note(found, ours, int(one), int(two), logits[0] + added, params, chances[0][step])
        assert torch.equal(theirs.counts.cpu(), ours.counts)
        assert torch.equal(theirs.steps.cpu(), ours.steps)
        theirs.last.copy_(ours.last)  # from here on both have drawn the same


def _note(
    found: Found, rows: Rows, one: int, two: int, logits: Tensor, params: SamplingParams, u: float
) -> None:
    """fp32 rounds differently on other hardware: then the other token comes of a chance right beside."""
    found.draws += 1
    if one == two:
        return
    found.differ += 1
    ids = (rows.counts[0] >= 0).nonzero()[:, 0].tolist()
    counts = {token: float(rows.counts[0, token]) for token in ids}
    beside = {sample(logits, params, counts, min(max(u + d, 0.0), 1 - 1e-9)) for d in (-1e-5, 1e-5)}
    for d in (-1e-6, 1e-6):
        nearly = replace(params, top_p=min(max(params.top_p + d, 0.0), 1.0))
        beside.add(sample(logits, nearly, counts, u))
    found.wrong += two not in beside
