"""RWKV-7's fused block and its parts against the plain operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from engine.models.state import relative_difference
from tests.engine.poison import poison_new_memory
from tests.engine.tiny import model, spec

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

from engine.models import rwkv7_fused
from engine.ops.gates7.naive import gates7_naive
from engine.ops.gates7.triton_gates7 import gates7
from engine.ops.readout7.naive import readout7_naive
from engine.ops.readout7.triton_readout7 import readout7
from engine.ops.token_mix.naive import token_mix_naive
from engine.ops.token_mix.triton_token_mix import token_mix

if TYPE_CHECKING:
    from torch import Tensor

FP32 = 2e-6  # of the largest value
DTYPES = {torch.float32: FP32, torch.bfloat16: 2**-6, torch.float16: 2**-9}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison_new_memory(monkeypatch)


def draw(rng: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=rng).to(dtype)


def check(got, expected, bound):
    for x, reference in zip(got, expected, strict=True):
        assert x.shape == reference.shape
        assert x.dtype == reference.dtype
        assert relative_difference(x, reference) < bound


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("T", "lengths"), [(1, None), (5, None), (5, [5, 1, 3])])
@pytest.mark.parametrize("C", [32, 40])
def test_token_mix(T, lengths, C, dtype):
    rng = torch.Generator().manual_seed(T)
    x, last = draw(rng, 3, T, C, dtype=dtype), draw(rng, 3, C, dtype=dtype)
    norm = draw(rng, C, dtype=dtype), draw(rng, C, dtype=dtype)
    shares = draw(rng, 6, C, dtype=dtype)
    given = x, last, norm, shares, None if lengths is None else torch.tensor(lengths)
    check(token_mix(*given), token_mix_naive(*given), DTYPES[dtype])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("first", [True, False])
def test_gates(first, dtype):
    M, H, N = 3, 9, 16
    rng = torch.Generator().manual_seed(0)
    k, v, decay, iclr, v_logit, v_first = (draw(rng, M, H * N, dtype=dtype) for _ in range(6))
    k[0] = 0  # a key of length zero has no direction
    vectors = draw(rng, H * N, dtype=dtype), draw(rng, H * N, dtype=dtype)
    given = k, v, decay, iclr, None if first else (v_logit, v_first), *vectors, H
    check(gates7(*given), gates7_naive(*given), DTYPES[dtype])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_readout(dtype):
    M, H, N = 3, 9, 16
    rng = torch.Generator().manual_seed(0)
    y = draw(rng, M, H, N)
    r, k, v = (draw(rng, M, H, N, dtype=dtype) for _ in range(3))
    gate, r_k = draw(rng, M, H * N, dtype=dtype), draw(rng, H, N, dtype=dtype)
    given = y, r, k, v, gate, r_k, (draw(rng, H * N, dtype=dtype), draw(rng, H * N, dtype=dtype))
    check([readout7(*given)], [readout7_naive(*given)], DTYPES[dtype])


@pytest.mark.parametrize("lengths", [None, [6, 2]])
def test_the_fused_block_is_the_block(lengths, monkeypatch):
    it = model(spec(n_layer=3))
    tokens = torch.randint(0, 96, (2, 6), generator=torch.Generator().manual_seed(1))
    rows = None if lengths is None else torch.tensor(lengths)
    with torch.inference_mode():
        _, state = it.forward(tokens, it.zero_state(2))
        expected, after = it.forward(tokens, state, lengths=rows)
        monkeypatch.setattr(type(it), "block", lambda _, *given: rwkv7_fused.fused_block(*given))
        got, end = it.forward(tokens, state, lengths=rows)
    assert relative_difference(got, expected) < 1e-5
    for name, x in after.tensors.items():
        assert relative_difference(end.tensors[name], x) < 1e-5
