"""int8 weights times activations in two digits: exact whole-number products by PyTorch's 8-bit operator.

`quantized::linear_dynamic` reads packed 8-bit weights at the full rate of the memory, but it rounds
activations to 7 or 8 bits of its own choice. So each row of activations is fed as two rows of whole numbers:
with step = largest |x| / 63,

    coarse = round(x / step)      fine = round((x / step − coarse) · 126)      x ≈ step · (coarse + fine/126)

both within −63 … 63. That is off by largest/15,876 at most, while bf16 is off by up to 1/512 of a number. Two
more columns, −64 and 63 against weights of 0, make the operator choose the step 1, and so round nothing but
`fine`. With 7 bits no sum of two products overflows 16 bits, as older processors need.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import TYPE_CHECKING, Any

import torch

from engine.ops.linear.one_row import Rows

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.linear.one_row import OneRow

DIGIT = 63
FINE = 2 * DIGIT
_LOWEST, _HIGHEST = -64.0, 63.0  # the range in which the operator's step is 1
PADDING = 4  # columns on top of K: the two above, and what keeps rows at whole words

_multiply = torch.ops.quantized.linear_dynamic.default


class DigitRows(Rows):
    """See `Rows`; for `DigitRow` as well as for matrices of x's own dtype."""

    def __init__(self, n: int, K: int, dtype: torch.dtype) -> None:
        super().__init__(n, K, dtype)
        self._wide = torch.zeros(n, K)
        self._both = torch.zeros(n, 2, K + PADDING)
        self._both[:, 0, K], self._both[:, 0, K + 1] = _LOWEST, _HIGHEST
        self._coarse, self._fine = self._both[:, 0, :K], self._both[:, 1, :K]
        self.pairs = self._both.unbind(0)

    def ready(self) -> None:
        self._wide.copy_(self.x)
        least, most = torch.aminmax(self._wide)
        largest = max(-float(least), float(most))
        if not math.isfinite(largest):
            self.step = math.nan  # and so is every product
            return
        self.step = largest / DIGIT or 1.0
        torch.mul(self._wide, 1 / self.step, out=self._coarse)
        torch.round(self._coarse, out=self._fine)
        torch.sub(self._coarse, self._fine, out=self._fine)
        self._fine.mul_(FINE)


class DigitRow:
    """An int8 matrix [N,K] with a scale for each row, packed in memory of its own."""

    dtype = torch.float32

    def __init__(self, values: Tensor, scale: Tensor) -> None:
        self._packed = _packed(values, scale)

    def __call__(self, rows: Rows, i: int, out: Tensor) -> None:
        coarse, fine = _multiply(rows.pairs[i], self._packed, True).unbind(0)
        torch.add(coarse, fine, alpha=1 / FINE, out=out)


def rows_for(matrix: OneRow, n: int, K: int, dtype: torch.dtype) -> Rows:
    """Memory for n inputs of any such matrix, digits where it wants them."""
    return (DigitRows if isinstance(matrix, DigitRow) else Rows)(n, K, dtype)


def _packed(values: Tensor, scale: Tensor) -> Any:
    """The operator's own form of a weight."""
    wide = torch.nn.functional.pad(values, (0, PADDING))
    zeros = torch.zeros(len(values), dtype=torch.int64)
    engine = torch.backends.quantized.engine
    torch.backends.quantized.engine = "fbgemm"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that its kind of tensor will go; `works` looks whether it has
            quantised = torch._make_per_channel_quantized_tensor(wide, scale.double(), zeros, 0)  # noqa: SLF001  torch has no public name for it  # pyright: ignore[reportPrivateImportUsage]
        return torch.ops.quantized.linear_prepack(quantised, None)
    finally:
        torch.backends.quantized.engine = engine


@functools.cache
def works() -> bool:
    """Whether this PyTorch, on this processor, has the operator, and it rounds and overflows nowhere."""
    rng = torch.Generator().manual_seed(0)
    values = torch.randint(-127, 128, (40, 300), generator=rng, dtype=torch.int8)
    values[:8] = torch.tensor([127, -127], dtype=torch.int8)[:, None].repeat(4, 1)
    x = torch.randint(-DIGIT, DIGIT + 1, (1, 300), generator=rng).float()
    x[0, :200] = DIGIT
    try:
        rows, found = DigitRows(1, 300, torch.float32), torch.zeros(40)
        rows.x.copy_(x)
        rows.ready()
        DigitRow(values, torch.ones(40))(rows, 0, found)
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return torch.equal(found, (x.double() @ values.double().mT)[0].float())
