"""RWKV-7: token-parallel around the recurrence, for any number of tokens; one token is the decode step.

The tensors go by their official names (`rwkv7_names.py`). Axes: see `model.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.models.block import head_norm, last_token, layer_norm, previous, project, project_value
from engine.models.model import Block, Model, Weights
from engine.models.rwkv7_layout import Layer, joined_rows, lay_out, layer_of
from engine.models.rwkv7_names import LOG_W_SCALE, MIXED
from engine.models.rwkv7_step import Rwkv7Step
from engine.models.rwkv7_steps import compiles
from engine.ops.chunk_states import fits_triton
from engine.ops.wkv7 import wkv7

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.rwkv7_compiled import Rwkv7Compiled
    from engine.models.state import State


def _low_rank(x: Tensor, w: Block, letter: str) -> Tensor:
    """letter0 + (x·letter1)·letter2: the form of iclr and of the value residual's gate."""
    return torch.addmm(w[f"att.{letter}0"], x @ w[f"att.{letter}1"], w[f"att.{letter}2"])


def _log_w(x: Tensor, w: Block, dtype: torch.dtype) -> Tensor:
    """The decay's logarithm, from its logit on in the state's dtype."""
    decay_logit = torch.addmm(w["att.w0"], torch.tanh(x @ w["att.w1"]), w["att.w2"])
    return LOG_W_SCALE * torch.sigmoid(decay_logit.to(dtype))


def _mixed_value(v: Tensor, x: Tensor, v_first: Tensor | None, w: Block) -> Tensor:
    """v drawn towards the first layer's value by a gate; the first layer keeps its own."""
    return v if v_first is None else torch.lerp(v, v_first, torch.sigmoid(_low_rank(x, w, "v")))


def _output(y: Tensor, r: Tensor, k: Tensor, v: Tensor, gate: Tensor, w: Block) -> Tensor:
    """Group norm, the bonus of the current token, the gate.  y [M,C], r, k, v [M,H,N], gate [M,C]."""
    y = head_norm(y, r.shape[1], w)
    bonus = (r * k * w["att.r_k"]).sum(-1, keepdim=True)
    y = torch.addcmul(y.view(v.shape), bonus, v).view(gate.shape)
    return project(y * gate, w, "att.output.weight")


def _time_mix(
    x: Tensor, last: Tensor, wkv: Tensor, v_first: Tensor | None, lengths: Tensor | None, w: Block
) -> tuple[Tensor, Tensor, Tensor]:
    """x [B,T,C] (LN1 output), last [B,C], wkv [B,H,V,K] → output [B,T,C], new wkv, v_first [B·T,C]."""
    B, T, C = x.shape
    H, N = w["att.r_k"].shape
    # one operation for the six mixtures x + (previous − x)·μ; then all tokens as rows of one matrix
    mixed = torch.addcmul(x, previous(x, last) - x, w["att.mix"])
    x_r, x_w, x_k, x_v, x_a, x_g = mixed.view(6, B * T, C).unbind(0)
    r = project(x_r, w, "att.receptance.weight")
    k = project(x_k, w, "att.key.weight")
    v = project(x_v, w, "att.value.weight")
    log_w = _log_w(x_w, w, wkv.dtype)
    iclr = torch.sigmoid(_low_rank(x_a, w, "a"))
    gate = torch.sigmoid(x_g @ w["att.g1"]) @ w["att.g2"]
    kappa = F.normalize((k * w["att.k_k"]).view(B, T, H, N), dim=-1)
    k = torch.lerp(k, k * iclr, w["att.k_a"])
    v = _mixed_value(v, x_v, v_first, w)
    r_h, log_w_h, k_h, v_h, iclr_h = (z.view(B, T, H, N) for z in (r, log_w, k, v, iclr))
    y, wkv = wkv7(r_h, log_w_h, k_h, v_h, -kappa, kappa * iclr_h, wkv, lengths)
    r, k, v_heads = (z.view(B * T, H, N) for z in (r, k, v))
    out = _output(y.reshape(B * T, C).to(x.dtype), r, k, v_heads, gate, w)
    return out.view(B, T, C), wkv, v if v_first is None else v_first


def _channel_mix(x: Tensor, last: Tensor, w: Block) -> Tensor:
    """x [B,T,C] (LN2 output), last [B,C] → [B,T,C]."""
    mixed = torch.addcmul(x, previous(x, last) - x, w["ffn.x_k"])
    hidden = torch.relu(project(mixed, w, "ffn.key.weight"))
    return project_value(hidden * hidden, w)


def needs_grad(x: Tensor, state: Block, w: Block) -> bool:
    """Whether a gradient will be asked for; the fused block has none."""
    return any(z.requires_grad for z in (x, *state.values(), *w.values()))


class Rwkv7(Model):
    """See `Model`. Layers hand on the first layer's value, [B·T,C]."""

    _own_step: Rwkv7Step | Rwkv7Compiled | None = None

    def decode_weights(self) -> tuple[Weights, tuple[Layer, ...]]:
        """All weights, and the layers' as `Chain7` takes them.

        The first call lays some of them out anew; they take the old ones' places, one layer after the other.
        """
        for layer in range(self.spec.n_layer):
            lay_out(self.tensors, layer)
        self._arranged = None
        weights = self._weights()
        return weights, tuple(layer_of(block) for block in weights.blocks)

    def compiled_step(self) -> Rwkv7Compiled:
        """The decode step that Numba compiles, whether or not `step` takes it."""
        from engine.models.rwkv7_compiled import Rwkv7Compiled  # Numba

        return Rwkv7Compiled(self.spec, self._weights())

    def _plain_step(self) -> Rwkv7Step:
        return Rwkv7Step(self.spec, self._weights(), self.dtype)

    def release(self) -> None:
        super().release()
        self._own_step = None

    def _make_rows_ready(self, weights: Weights) -> None:
        if not compiles(self.spec, self.tier):
            super()._make_rows_ready(weights)

    def arrange(self, block: Block) -> Block:
        """The six mixing vectors become `att.mix` [6,1,1,C]; where they lie so already, that is a view."""
        shares = [block.pop(f"att.x_{m}") for m in MIXED]
        joined = joined_rows(shares)
        block["att.mix"] = (torch.stack(shares) if joined is None else joined)[:, None, None]
        return block

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """One sequence on a CPU takes a way of its own, `rwkv7_steps`: the same but for rounding."""
        if tokens.shape != (1,) or self.device.type != "cpu" or not torch.is_inference_mode_enabled():
            return super().step(tokens, state)
        if self._own_step is None:
            compiled = compiles(self.spec, self.tier)
            self._own_step = self.compiled_step() if compiled else self._plain_step()
        self.check_state(state, 1)
        return self._own_step(int(tokens), state)

    def block(
        self, x: Tensor, state: Block, w: Block, carried: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Block, Tensor | None]:
        if fits_triton(state["wkv_BLHVK"]) and not (torch.is_grad_enabled() and needs_grad(x, state, w)):
            from engine.models.rwkv7_fused import (
                fused_block,  # Triton, which a computer without a card may lack
            )

            return fused_block(x, state, w, carried, lengths)
        normed = layer_norm(x, w, "ln1")
        out, wkv, v_first = _time_mix(normed, state["att_shift_BLC"], state["wkv_BLHVK"], carried, lengths, w)
        x = x + out
        after = {"wkv_BLHVK": wkv, "att_shift_BLC": last_token(normed, lengths)}
        normed = layer_norm(x, w, "ln2")
        x = x + _channel_mix(normed, state["ffn_shift_BLC"], w)
        return x, after | {"ffn_shift_BLC": last_token(normed, lengths)}, v_first
