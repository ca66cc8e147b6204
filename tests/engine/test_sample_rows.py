"""Drawing for all rows of a batch: the naive form is `Sampler`, the kernels agree with the naive form."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import torch

from engine.ops.sample import AHEAD, NONE, Rows, sample_rows, sample_rows_naive
from engine.sampling import Sampler, SamplerState, uniform
from engine.types import SamplingParams
from tests.engine.draws import compare, random_params
from tests.engine.test_sampling import Letters

if TYPE_CHECKING:
    from tests.conftest import Sample

EXEMPT = torch.tensor([1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0], dtype=torch.uint8)  # of Letters


def test_rows_draw_as_samplers_do(sample: Sample) -> None:
    rng = random.Random(2)
    for _ in range(sample("batches of samplers", 60, 2000)):
        added = torch.tensor([rng.choice((0.0, 0.0, 0.0, -torch.inf)) for _ in range(12)])
        added[3] = 0.0
        params = [random_params(rng) for _ in range(3)]
        rows, samplers = Rows.empty(3, EXEMPT), []
        for row, its in enumerate(params):
            held = ((rng.randrange(12), rng.random()),)
            rows.begin(row, its, added, held)
            samplers.append(Sampler(its, Letters(), added, SamplerState(row, 0, held)))
        rows.foresee([[uniform(row, step) for step in range(AHEAD)] for row in range(3)])
        drawn = torch.zeros(3, dtype=torch.int64)
        for _ in range(12):
            logits = torch.tensor([[rng.randint(-20, 20) / 4 for _ in range(12)] for _ in range(3)])
            expected = [its.next(logits[row]) for row, its in enumerate(samplers)]
            sample_rows(logits, rows, drawn)
            assert drawn.tolist() == expected
            for its, token in zip(samplers, expected, strict=True):
                its.note(token)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite_draw_nothing(bad: float) -> None:
    rows, drawn = Rows.empty(1, EXEMPT), torch.zeros(1, dtype=torch.int64)
    rows.begin(0, SamplingParams(), torch.zeros(12), ())
    logits = torch.zeros(1, 12)
    logits[0, 4 if bad != -torch.inf else slice(None)] = bad
    sample_rows(logits, rows, drawn)
    assert drawn.tolist() == [NONE]


def test_params_are_read_back_as_they_were_given() -> None:
    rows, rng = Rows.empty(1, EXEMPT), random.Random(4)
    for _ in range(50):
        params = random_params(rng)
        rows.change(0, params)
        assert rows.params(0) == params


def test_the_kernels_draw_the_same_in_the_interpreter(sample: Sample) -> None:
    """Token by token, counts included; at most one in a thousand falls on the other side of a rounding."""
    pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")
    from engine.ops.sample.triton_sample import sample_rows_triton

    cases = sample("replies drawn in Triton's interpreter", 5, 3000)
    found = compare(sample_rows_naive, sample_rows_triton, cases, seed=1)
    assert found.draws == 3 * cases
    assert found.wrong == 0
    assert found.differ <= 1 + found.draws / 1000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="compiled kernels need a CUDA device")
def test_the_kernels_draw_the_same_on_a_card(sample: Sample) -> None:
    found = compare(sample_rows_naive, sample_rows, sample("replies drawn on a card", 300, 5000), 3, "cuda")
    assert found.wrong == 0
    assert found.differ <= 1 + found.draws / 1000
