"""The bar on gradients: the chunk forms in fp32 against float64 autograd of the serial recurrence.

For every input and the initial state, at odd lengths over several chunks: relative error ≤ 1e-4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from engine.models.state import relative_difference
from engine.ops.wkv6 import wkv6_chunk, wkv6_naive
from engine.ops.wkv7 import wkv7_chunk, wkv7_naive
from tests.engine import test_wkv6, test_wkv7

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

BAR = 1e-4
LENGTHS = (1, 15, 17, 63, 131)
NAMES = {"wkv7": ("r", "log_w", "k", "v", "a", "b", "state"), "wkv6": ("r", "log_w", "k", "v", "u", "state")}
CASES = {
    "wkv7": (wkv7_chunk, wkv7_naive, test_wkv7.arguments),
    "wkv6": (wkv6_chunk, wkv6_naive, test_wkv6.arguments),
}


def gradients(op: Callable[..., tuple[Tensor, Tensor]], inputs: list[Tensor]) -> list[Tensor]:
    """Of a fixed combination of all outputs and of the last state."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    y, state = op(*leaves)
    rng = torch.Generator().manual_seed(9)
    dy, dstate = (torch.randn(x.shape, generator=rng, dtype=torch.float64).to(x.dtype) for x in (y, state))
    return list(torch.autograd.grad((y * dy).sum() + (state * dstate).sum(), leaves))


def check(name: str, inputs: list[Tensor]) -> None:
    fast, serial, _ = CASES[name]
    single = [x.detach().float() for x in inputs]
    exact = [x.double() for x in single]
    pairs = zip(NAMES[name], gradients(fast, single), gradients(serial, exact), strict=True)
    errors = {which: relative_difference(found, expected) for which, found, expected in pairs}
    print({which: f"{error:.1e}" for which, error in errors.items()})
    assert max(errors.values()) <= BAR, errors


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("name", CASES)
def test_gradients_in_fp32(name: str, T: int) -> None:
    check(name, CASES[name][2](2, T, 2, 64))


@pytest.mark.parametrize("T", LENGTHS)
def test_gradients_with_extreme_decays(T: int) -> None:
    check("wkv6", test_wkv6.arguments(2, T, 2, 64, decays="extreme"))


@pytest.mark.parametrize("T", LENGTHS)
def test_gradients_of_rwkv5(T: int) -> None:
    """One decay for all tokens, as a tensor that is not copied for them; its gradient is their sum."""
    made = test_wkv6.arguments(2, T, 2, 64)
    made[1] = made[1][:1, :1].expand(2, T, 2, 64)
    check("wkv6", made)
