"""RWKV-4: a weighted average per channel in the place of heads; token-parallel around it.

The tensors go by their official names (`rwkv4_names.py`). Axes: see `model.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models.block import (
    channel_mixed_by_shares,
    last_token,
    layer_norm,
    previous,
    project,
    shares_mixed,
)
from engine.models.model import Block, Model
from engine.ops.wkv4 import wkv4

if TYPE_CHECKING:
    from torch import Tensor

SUMS = ("numerator_BLC", "denominator_BLC", "exponent_BLC")


def _time_mix(
    x: Tensor, last: Tensor, sums: tuple[Tensor, Tensor, Tensor], lengths: Tensor | None, w: Block
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """x [B,T,C] (LN1 output), last [B,C], sums three times [B,C] → output [B,T,C], new sums."""
    x_k, x_v, x_r = shares_mixed(x, previous(x, last), w["att.mix"]).unbind(0)
    r = torch.sigmoid(project(x_r, w, "att.receptance.weight"))
    k, v = project(x_k, w, "att.key.weight"), project(x_v, w, "att.value.weight")
    y, sums = wkv4(w["att.log_w"], w["att.time_first"], k, v, sums, lengths)
    return project(r * y.to(x.dtype), w, "att.output.weight"), sums


class Rwkv4(Model):
    """See `Model`."""

    def arrange(self, block: Block) -> Block:
        """Mixing vectors become `att.mix` [3,1,1,C] and `ffn.mix` [2,1,1,C]; the decay its logarithm."""
        block["att.mix"] = torch.stack([block.pop(f"att.time_mix_{m}") for m in "kvr"])[:, None, None]
        block["ffn.mix"] = torch.stack([block.pop(f"ffn.time_mix_{m}") for m in "kr"])[:, None, None]
        block["att.log_w"] = -torch.exp(block.pop("att.time_decay"))
        return block

    def block(
        self, x: Tensor, state: Block, w: Block, carried: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Block, Tensor | None]:
        normed = layer_norm(x, w, "ln1")
        before = state[SUMS[0]], state[SUMS[1]], state[SUMS[2]]
        out, sums = _time_mix(normed, state["att_shift_BLC"], before, lengths, w)
        x = x + out
        after = dict(zip(SUMS, sums, strict=True)) | {"att_shift_BLC": last_token(normed, lengths)}
        normed = layer_norm(x, w, "ln2")
        x = x + channel_mixed_by_shares(normed, state["ffn_shift_BLC"], w)
        return x, after | {"ffn_shift_BLC": last_token(normed, lengths)}, carried
