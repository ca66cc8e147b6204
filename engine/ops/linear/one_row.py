"""Products with one row of activations on a CPU, the decode step's: written into a buffer, nothing else made.

PyTorch hands a product of 16-bit numbers to oneDNN, whose kernels are made for many rows. Its own loop for
one row reads memory twice as fast on the processor measured (tests/bench/README.md) and is taken where oneDNN
is switched off, for which there is a flag of the process. Both add exact products in fp32 and round once.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_set_onednn = torch._C._set_mkldnn_enabled  # noqa: SLF001  what torch.backends.mkldnn.flags sets, without its 5 µs


@contextmanager
def native() -> Iterator[None]:
    """Without oneDNN."""
    _set_onednn(False)
    try:
        yield
    finally:
        _set_onednn(True)


class OneRow(Protocol):
    """A matrix [N,K] for one row at a time.

    Attributes:
        dtype: what it writes.
    """

    dtype: torch.dtype

    def __call__(self, rows: Rows, i: int, out: Tensor) -> None:
        """Row i of `rows` times the matrix, into `out` [N]; still to be multiplied with `rows.step`."""
        ...


class Rows:
    """The inputs of some matrices of one step: `x` [n,K] is written, then `ready` called, then multiplied.

    Attributes:
        each: the rows of x.
        pairs: each as two rows of digits (`digits.py`).
        step: what products are to be multiplied with; 1 but for digits.
    """

    pairs: tuple[Tensor, ...] = ()
    step = 1.0

    def __init__(self, n: int, K: int, dtype: torch.dtype) -> None:
        self.x = torch.zeros(n, K, dtype=dtype)
        self.each = self.x.unbind(0)

    def ready(self) -> None:
        """What all matrices need of x is made once."""


def takes_native(x: Tensor, weight: Tensor) -> bool:
    """Whether a plain product x [.., K] · weight [N,K]ᵀ is one row of 16-bit numbers on a CPU, to decode."""
    one_row = x.numel() == x.shape[-1] and torch.is_inference_mode_enabled()
    return one_row and weight.device.type == "cpu" and x.dtype in (torch.bfloat16, torch.float16)


def linear_native(x: Tensor, weight: Tensor) -> Tensor:
    """x [.., K], one row in all, weight [N,K] → [.., N]."""
    with native():
        return torch.mv(weight, x.reshape(-1)).view(*x.shape[:-1], -1)


class PlainRow:
    """A matrix of x's dtype."""

    def __init__(self, weight: Tensor) -> None:
        self._weight, self.dtype = weight, weight.dtype

    def __call__(self, rows: Rows, i: int, out: Tensor) -> None:
        torch.mv(self._weight, rows.each[i], out=out)


class NativeRow(PlainRow):
    """The same by PyTorch's own loop."""

    def __call__(self, rows: Rows, i: int, out: Tensor) -> None:
        _set_onednn(False)
        try:
            torch.mv(self._weight, rows.each[i], out=out)
        finally:
            _set_onednn(True)
