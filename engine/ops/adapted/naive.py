"""The product with the weight that the adapter is merged into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.ops.adapted import LORA_A, LORA_B, MISS

if TYPE_CHECKING:
    from torch import Tensor


def adapted_naive(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    """x [.., K] → [.., N]."""
    weight = w[name]
    if name + LORA_B in w:
        weight = weight + w[name + LORA_B] @ w[name + LORA_A]
    if name + MISS in w:
        e = w[name + MISS]
        weight = weight + e.mT.repeat(1, -(-weight.shape[1] // e.shape[0]))[:, : weight.shape[1]]
    return F.linear(x, weight)
