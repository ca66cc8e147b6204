"""RWKV-6: RWKV-5's recurrence with mixtures and decays that depend on the token.

The tensors go by their official names (`rwkv6_names.py`). Axes: see `model.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.models.block import gated_channel_mix, head_norm, last_token, layer_norm, previous, project
from engine.models.model import Block, Model
from engine.ops.wkv6 import wkv6

if TYPE_CHECKING:
    from torch import Tensor

MIXED = "wkvrg"  # order of the five token-shift mixtures, as in time_maa_w2


def _mixtures(x: Tensor, delta: Tensor, w: Block) -> Tensor:
    """x + delta·(μ + what the token itself adds to μ), five times.  x, delta: [M,C] → [5,M,C]."""
    inner = torch.tanh(torch.addcmul(x, delta, w["att.time_maa_x"]) @ w["att.time_maa_w1"])
    inner = inner.view(x.shape[0], 5, -1).transpose(0, 1)
    shares = torch.baddbmm(w["att.mix"], inner, w["att.time_maa_w2"])
    return torch.addcmul(x, delta, shares)


def _log_w(x: Tensor, w: Block) -> Tensor:
    """The decay's logarithm, [M,C]: from its logit on in the dtype of `time_decay`."""
    added = torch.tanh(x @ w["att.time_decay_w1"]) @ w["att.time_decay_w2"]
    return -torch.exp(w["att.time_decay"] + added.to(w["att.time_decay"].dtype))


def _time_mix(
    x: Tensor, last: Tensor, wkv: Tensor, lengths: Tensor | None, w: Block
) -> tuple[Tensor, Tensor]:
    """x [B,T,C] (LN1 output), last [B,C], wkv [B,H,V,K] → output [B,T,C], new wkv."""
    B, T, C = x.shape
    H, N = w["att.time_faaaa"].shape
    delta = previous(x, last) - x
    x_w, x_k, x_v, x_r, x_g = _mixtures(x.reshape(-1, C), delta.view(-1, C), w).unbind(0)
    r = project(x_r, w, "att.receptance.weight")
    k = project(x_k, w, "att.key.weight")
    v = project(x_v, w, "att.value.weight")
    gate = F.silu(project(x_g, w, "att.gate.weight"))
    r, log_w, k, v = (z.view(B, T, H, N) for z in (r, _log_w(x_w, w), k, v))
    y, wkv = wkv6(r, log_w, k, v, w["att.time_faaaa"], wkv, lengths)
    y = head_norm(y.reshape(B * T, C), H, w).to(x.dtype)
    return project(y * gate, w, "att.output.weight").view(B, T, C), wkv


def _channel_mix(x: Tensor, last: Tensor, w: Block) -> Tensor:
    """x [B,T,C] (LN2 output), last [B,C] → [B,T,C]."""
    x_k, x_r = torch.addcmul(x, previous(x, last) - x, w["ffn.mix"]).unbind(0)
    return gated_channel_mix(x_k, x_r, w)


class Rwkv6(Model):
    """See `Model`."""

    def arrange(self, block: Block) -> Block:
        """Mixing vectors become `att.mix` [5,1,C] and `ffn.mix` [2,1,1,C]."""
        block["att.mix"] = torch.stack([block.pop(f"att.time_maa_{m}") for m in MIXED])[:, None]
        block["ffn.mix"] = torch.stack([block.pop(f"ffn.time_maa_{m}") for m in "kr"])[:, None, None]
        return block

    def block(
        self, x: Tensor, state: Block, w: Block, carried: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Block, Tensor | None]:
        normed = layer_norm(x, w, "ln1")
        out, wkv = _time_mix(normed, state["att_shift_BLC"], state["wkv_BLHVK"], lengths, w)
        x = x + out
        after = {"wkv_BLHVK": wkv, "att_shift_BLC": last_token(normed, lengths)}
        normed = layer_norm(x, w, "ln2")
        x = x + _channel_mix(normed, state["ffn_shift_BLC"], w)
        return x, after | {"ffn_shift_BLC": last_token(normed, lengths)}, carried
