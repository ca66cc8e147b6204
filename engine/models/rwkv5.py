"""RWKV-5 in its three forms: 5.0 without a gate, 5.1 with one, 5.2 with a decay for each channel.

The decay is the same for all tokens. Decays and bonuses per head are spread over the head's channels, so that
one recurrence serves all three, and RWKV-6. Tensors: `rwkv5_names.py`. Axes: see `model.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.models.block import (
    channel_mixed_by_shares,
    head_norm,
    last_token,
    layer_norm,
    previous,
    project,
    shares_mixed,
)
from engine.models.model import Block, Model
from engine.ops.wkv6 import wkv6

if TYPE_CHECKING:
    from torch import Tensor


def _time_mix(
    x: Tensor, last: Tensor, wkv: Tensor, lengths: Tensor | None, w: Block
) -> tuple[Tensor, Tensor]:
    """x [B,T,C] (LN1 output), last [B,C], wkv [B,H,V,K] → output [B,T,C], new wkv."""
    B, T, C = x.shape
    H, N = w["att.log_w"].shape
    x_r, x_k, x_v, *x_g = shares_mixed(x, previous(x, last), w["att.mix"]).unbind(0)
    r = project(x_r, w, "att.receptance.weight").view(B, T, H, N)
    k = project(x_k, w, "att.key.weight").view(B, T, H, N)
    v = project(x_v, w, "att.value.weight").view(B, T, H, N)
    y, wkv = wkv6(r, w["att.log_w"].expand(B, T, H, N), k, v, w["att.bonus"], wkv, lengths)
    y = head_norm(y.reshape(B * T, C), H, w).to(x.dtype).view(B, T, C)
    if x_g:
        y = y * F.silu(project(x_g[0], w, "att.gate.weight"))
    return project(y, w, "att.output.weight"), wkv


class Rwkv5(Model):
    """See `Model`."""

    def arrange(self, block: Block) -> Block:
        """Mixing vectors become `att.mix` [3|4,1,1,C] and `ffn.mix` [2,1,1,C]; decay and bonus [H,N]."""
        mixed = "rkv" if self.arch == "rwkv5.0" else "rkvg"
        block["att.mix"] = torch.stack([block.pop(f"att.time_mix_{m}") for m in mixed])[:, None, None]
        block["ffn.mix"] = torch.stack([block.pop(f"ffn.time_mix_{m}") for m in "kr"])[:, None, None]
        block["att.log_w"] = self._per_channel(-torch.exp(block.pop("att.time_decay")))
        log_bonus = block.pop("att.time_first", None)
        bonus = block.pop("att.time_faaaa") if log_bonus is None else torch.exp(log_bonus)
        block["att.bonus"] = self._per_channel(bonus)
        return block

    def _per_channel(self, x: Tensor) -> Tensor:
        """[H] or [H,N] → [H,N]."""
        return x.view(self.spec.n_head, -1).expand(-1, self.spec.head_size)

    def block(
        self, x: Tensor, state: Block, w: Block, carried: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Block, Tensor | None]:
        normed = layer_norm(x, w, "ln1")
        out, wkv = _time_mix(normed, state["att_shift_BLC"], state["wkv_BLHVK"], lengths, w)
        x = x + out
        after = {"wkv_BLHVK": wkv, "att_shift_BLC": last_token(normed, lengths)}
        normed = layer_norm(x, w, "ln2")
        x = x + channel_mixed_by_shares(normed, state["ffn_shift_BLC"], w)
        return x, after | {"ffn_shift_BLC": last_token(normed, lengths)}, carried
