"""The ways that a matrix can take for one row of activations, and which one is taken.

The ways of one kind give the same numbers but for the order of a sum in fp32 (and, in int8, for activations
that are off by 1/15,876 of the largest), within the tolerances of engine/ops/README.md: so a tier means the
same whichever is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.ops.linear import linear
from engine.ops.linear.digits import DigitRow, works
from engine.ops.linear.int4 import Int4Row, takes_int4
from engine.ops.linear.one_row import NativeRow, PlainRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from engine.ops.linear.one_row import OneRow, Rows


class LinearRow(PlainRow):
    """By oneDNN's product for many rows."""

    def __call__(self, rows: Rows, i: int, out: Tensor) -> None:
        out.copy_(F.linear(rows.each[i], self._weight))


class CommonRow:
    """A quantised matrix in whatever form, the way that any number of rows takes."""

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        self._weight, self._scale, self.dtype = weight, scale, scale.dtype

    def __call__(self, rows: Rows, i: int, out: Tensor) -> None:
        out.copy_(linear(rows.each[i][None], self._weight, self._scale)[0])


# kind of weight → its ways; the first is taken where nothing was measured
WAYS: dict[str, dict[str, Callable[..., OneRow]]] = {
    "fp32": {"onednn": PlainRow},
    "16-bit": {"native": NativeRow, "onednn": PlainRow, "linear": LinearRow},
    "int8": {"digits": DigitRow, "common": CommonRow},
    "int4": {"int4": Int4Row, "common": CommonRow},
    "other": {"common": CommonRow},
}

_taken: dict[str, str] = {}  # `use` fills it


def use(taken: Mapping[str, str]) -> None:
    """From now on a matrix takes the way of this name; by what `name_of` says. Others take the first."""
    _taken.clear()
    _taken.update(taken)


def kind_of(weight: Tensor, scale: Tensor | None) -> str:
    """A key of `WAYS`."""
    if scale is None:
        return "16-bit" if weight.dtype in (torch.bfloat16, torch.float16) else "fp32"
    if scale.ndim == 1:
        return "int8" if works() else "other"
    return "int4" if takes_int4(weight, scale) else "other"


def name_of(weight: Tensor, scale: Tensor | None) -> str:
    """Of all matrices that take the same way."""
    return f"{kind_of(weight, scale)} {weight.shape[0]}x{weight.shape[1]}"


def one_row(weight: Tensor, scale: Tensor | None = None) -> OneRow:
    """A weight as `linear` takes it, for one row."""
    ways = WAYS[kind_of(weight, scale)]
    way = ways.get(_taken.get(name_of(weight, scale), ""), next(iter(ways.values())))
    return way(weight) if scale is None else way(weight, scale)
