"""RWKV-7's block on a card, for prefill and batches: its elementwise parts in four kernels.

The same as `rwkv7`'s block but for rounding, in less than half of its launches; without gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models.block import project, project_value
from engine.ops.gates7.triton_gates7 import gates7
from engine.ops.readout7.triton_readout7 import readout7
from engine.ops.token_mix.triton_token_mix import token_mix
from engine.ops.wkv7 import wkv7

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.model import Block


def _low_rank(x: Tensor, w: Block, letter: str) -> Tensor:
    return torch.addmm(w[f"att.{letter}0"], x @ w[f"att.{letter}1"], w[f"att.{letter}2"])


def _time_mix(
    mixed: Tensor, wkv: Tensor, v_first: Tensor | None, lengths: Tensor | None, w: Block
) -> tuple[Tensor, Tensor, Tensor]:
    """mixed [6,B,T,C] → output [B·T,C], new wkv, the first layer's value [B·T,C]."""
    _, B, T, C = mixed.shape
    H, N = w["att.r_k"].shape
    x_r, x_w, x_k, x_v, x_a, x_g = mixed.view(6, B * T, C).unbind(0)
    r = project(x_r, w, "att.receptance.weight").view(B * T, H, N)
    k = project(x_k, w, "att.key.weight")
    v = project(x_v, w, "att.value.weight")
    decay_logit = torch.addmm(w["att.w0"], torch.tanh(x_w @ w["att.w1"]), w["att.w2"])
    value = None if v_first is None else (_low_rank(x_v, w, "v"), v_first)
    its = gates7(k, v, decay_logit, _low_rank(x_a, w, "a"), value, w["att.k_k"], w["att.k_a"], H)
    r_h, log_w, k_h, v_h, a, b = (z.view(B, T, H, N) for z in (r, *its))
    y, wkv = wkv7(r_h, log_w, k_h, v_h, a, b, wkv, lengths)
    gate = torch.sigmoid(x_g @ w["att.g1"]) @ w["att.g2"]
    norm = w["att.ln_x.weight"], w["att.ln_x.bias"]
    out = readout7(y.reshape(B * T, H, N), r, its.k, its.v, gate, w["att.r_k"], norm)
    return project(out, w, "att.output.weight"), wkv, v if v_first is None else v_first


def fused_block(
    x: Tensor, state: Block, w: Block, v_first: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Block, Tensor]:
    """As `Model.block`."""
    shares = w["att.mix"].view(6, -1)
    norm = w["ln1.weight"], w["ln1.bias"]
    mixed, att_shift = token_mix(x, state["att_shift_BLC"], norm, shares, lengths)
    out, wkv, v_first = _time_mix(mixed, state["wkv_BLHVK"], v_first, lengths, w)
    x = x + out.view(x.shape)
    norm = w["ln2.weight"], w["ln2.bias"]
    mixed, ffn_shift = token_mix(x, state["ffn_shift_BLC"], norm, w["ffn.x_k"].view(1, -1), lengths)
    hidden = torch.relu_(project(mixed[0], w, "ffn.key.weight"))
    x = x + project_value(hidden.mul_(hidden), w)
    return x, {"wkv_BLHVK": wkv, "att_shift_BLC": att_shift, "ffn_shift_BLC": ffn_shift}, v_first
