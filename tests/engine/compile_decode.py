"""What `test_compile` compiles of the decode chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models.packed import packed_forms
from engine.models.prepare import prepared_shapes
from engine.models.rwkv7 import Rwkv7
from engine.models.rwkv7_chain import Chain7
from engine.types import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor


# name → width, ranks of w, a, v, g
SIZES = {
    "0.1B": (768, (64, 64, 32, 128)),
    "0.4B": (1024, (64, 64, 32, 128)),
    "1.5B": (2048, (96, 96, 64, 256)),
    "2.9B": (2560, (96, 96, 64, 320)),
    "7.2B": (4096, (128, 128, 96, 480)),
    "13.3B": (4096, (192, 192, 128, 384)),
}


def spec(size: str) -> ModelSpec:
    """Two layers of an official size."""
    n_embd, ranks = SIZES[size]
    return ModelSpec(
        "rwkv7", 2, n_embd, 64, 4 * n_embd, 65536, tuple(sorted(zip("wavg", ranks, strict=True)))
    )


def plain(dtype: torch.dtype) -> None:
    _chain(spec("1.5B"), dtype).step()


def batch(dtype: torch.dtype) -> None:
    """What is a batch's own, with the largest tile."""
    _matrices_only(_chain(spec("1.5B"), dtype, batch=64))


def batches(dtype: torch.dtype) -> None:
    """The same with every other size of tile."""
    for rows in (8, 32):
        _matrices_only(_chain(spec("1.5B"), dtype, batch=rows))


def int8(dtype: torch.dtype) -> None:
    _matrices_only(_chain(spec("2.9B"), dtype, "int8-g64"))


def int4(dtype: torch.dtype) -> None:
    _matrices_only(_chain(spec("2.9B"), dtype, "int4-g32"))


def all_sizes(dtype: torch.dtype) -> None:
    for size in SIZES:
        _chain(spec(size), dtype).step()
        for tier in ("int8-g64", "int4-g32"):
            _matrices_only(_chain(spec(size), dtype, tier))


def _chain(of: ModelSpec, dtype: torch.dtype, tier: str = "bf16", batch: int = 1) -> Chain7:
    def made(shape: tuple[int, ...], of_dtype: torch.dtype) -> Tensor:
        exact = of_dtype if of_dtype in (torch.int8, torch.uint8) else dtype
        return torch.empty(shape, dtype=exact, device="meta")

    forms = packed_forms(prepared_shapes(of), of, tier)
    model = Rwkv7(of, {name: made(*form) for name, form in forms.items()})
    return Chain7(model, batch)


def _matrices_only(chain: Chain7) -> None:
    """One layer (not the first, which is alike), without the kernels that know no form of a matrix."""
    chain._layers = chain._layers[1:]
    chain._ops = chain._ops._replace(embed=_nothing, head_step=_nothing)
    chain.step()


def _nothing(*_: object) -> None:
    pass
