"""The channel mix's second matrix: reading few rows gives what the whole product gives."""

from __future__ import annotations

import pytest
import torch

from engine.ops import ffn_value as op
from engine.ops.ffn_value import ffn_value
from engine.ops.ffn_value.naive import ffn_value_naive
from engine.ops.ffn_value.rows import ffn_value_rows

# relative error: the order of the sum differs, and bf16 and fp16 round the result once
TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 5e-3, torch.float16: 1e-3}


def made(
    F: int, C: int, zeros: float, dtype: torch.dtype, rows: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(F * C)
    hidden = torch.rand(1, rows, F, generator=rng) * (torch.rand(1, rows, F, generator=rng) >= zeros)
    weight = torch.randn(F, C, generator=rng).to(dtype).mT
    return hidden.to(dtype), weight


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.86, 1.0])
@pytest.mark.parametrize(("F", "C"), [(1, 1), (7, 3), (64, 33), (448, 128), (2048, 512)])
def test_rows_agree_with_the_product(F, C, zeros, dtype):
    hidden, weight = made(F, C, zeros, dtype)
    exact = hidden.double() @ weight.double().mT
    found = ffn_value_rows(hidden, weight)
    assert found.shape == (1, 1, C)
    assert found.dtype == dtype
    assert (found.double() - exact).norm() <= TOLERANCE[dtype] * exact.norm()
    assert (ffn_value_naive(hidden, weight).double() - exact).norm() <= TOLERANCE[dtype] * exact.norm()


def chosen(monkeypatch, hidden, weight) -> str:
    names = []
    for name in ("naive", "rows"):
        monkeypatch.setattr(op, f"ffn_value_{name}", lambda *_, name=name: names.append(name))
    ffn_value(hidden, weight)
    return names[0]


def test_which_is_taken(monkeypatch):
    hidden, turned = made(64, 32, 0.5, torch.float32)
    assert chosen(monkeypatch, hidden, turned) == "rows"
    assert chosen(monkeypatch, hidden, turned.contiguous()) == "naive"
    assert chosen(monkeypatch, made(64, 32, 0.5, torch.float32, rows=2)[0], turned) == "naive"
    assert chosen(monkeypatch, hidden, turned.clone().requires_grad_()) == "naive"


def test_what_is_no_number_is_not_skipped():
    hidden, weight = made(64, 32, 0.5, torch.float32)
    hidden[0, 0, 3] = float("nan")
    assert bool(ffn_value(hidden, weight).isnan().all())
