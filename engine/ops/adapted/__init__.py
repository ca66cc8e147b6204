"""What an adapter in training adds to a product: its matrices stand beside the weight, by the weight's name.

low rank   X.lora_A [r,K], X.lora_B [N,r]   y + (x·Aᵀ)·Bᵀ
MiSS       X.miss_block E [r,N]             y + z·E, z [r] the sum of x's blocks of r numbers

Scales are in the matrices. `naive` has the same with the weight that the adapter would be merged into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F  # noqa: N812  the field's custom

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LORA_A", "LORA_B", "MISS", "adapted", "block_sums"]

LORA_A, LORA_B, MISS = ".lora_A", ".lora_B", ".miss_block"


def adapted(y: Tensor, x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    """y [.., N], the product of x [.., K] with the weight of that name; and what its adapter adds, if any."""
    if (b := w.get(name + LORA_B)) is not None:
        return y + F.linear(F.linear(x, w[name + LORA_A]), b)
    if (e := w.get(name + MISS)) is not None:
        return y + block_sums(x, e.shape[0]) @ e
    return y


def block_sums(x: Tensor, r: int) -> Tensor:
    """x [.., K] → [.., r]: number j is the sum of x[j], x[j + r], …"""
    K = x.shape[-1]
    if K % r:
        x = F.pad(x, (0, -K % r))
    return x.unflatten(-1, (-1, r)).sum(-2)
