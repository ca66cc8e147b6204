"""What `test_compile` compiles of the decode chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models import ARCHITECTURES
from engine.models.names import expected_shapes
from engine.models.prepare import LN0
from engine.models.rwkv7 import Rwkv7
from engine.models.rwkv7_chain import Chain7
from engine.types import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor


def spec(n_embd: int, ranks: tuple[int, int, int, int]) -> ModelSpec:
    """Two layers of an official size; ranks of w, a, v, g."""
    named = tuple(sorted(zip("wavg", ranks, strict=True)))
    return ModelSpec("rwkv7", 2, n_embd, 64, 4 * n_embd, 65536, named)


def plain(dtype: torch.dtype) -> None:
    """1.5B."""
    _step(spec(2048, (96, 96, 64, 256)), dtype)


def _step(of: ModelSpec, dtype: torch.dtype) -> None:
    def made(shape: tuple[int, ...]) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    shapes = {name: shape for name, shape in expected_shapes(of).items() if name not in LN0}
    model = ARCHITECTURES[of.arch](of, {name: made(shape) for name, shape in shapes.items()})
    assert isinstance(model, Rwkv7)
    Chain7(model).step()
