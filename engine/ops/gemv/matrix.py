"""A matrix [N,K] in one of three forms: plain, int8 or int4 (`engine.quant`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.quant import group_of, unpack, width_of

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = 0
LARGEST = 2**31  # numbers of a matrix: kernels count them in 32 bits


class Matrix(NamedTuple):
    """Contiguous. For the channel mix's second matrix: turned, a row is a hidden unit.

    Attributes:
        values: [N,K] fp16, bf16 or fp32; or packed, int8 [N,K] or uint8 [N,K/2].
        scale: [N,K/G] if packed.
    """

    values: Tensor
    scale: Tensor | None = None

    @property
    def rows(self) -> int:
        return self.values.shape[0]

    @property
    def width(self) -> int:
        """K."""
        return self.values.shape[1] if self.scale is None else width_of(self.values)

    @property
    def group(self) -> int:
        """How many numbers share a scale: 64 (int8), 32 (int4) or PLAIN."""
        return PLAIN if self.scale is None else group_of(self.values)

    @property
    def scales(self) -> Tensor:
        """What a kernel takes for them: of a plain matrix the values again, unread."""
        return self.values if self.scale is None else self.scale

    def numbers(self) -> Tensor:
        """What it stands for, fp32 [N,K]."""
        return self.values.float() if self.scale is None else unpack(self.values, self.scale)


def check(matrix: Matrix) -> None:
    """What kernels rely on."""
    lies_well = matrix.values.is_contiguous() and matrix.scales.is_contiguous()
    if not lies_well or matrix.rows * matrix.width >= LARGEST:
        raise ValueError(f"a matrix that no kernel takes: {tuple(matrix.values.shape)}")
