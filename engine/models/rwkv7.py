"""RWKV-7: token-parallel around the recurrence, for any number of tokens; one token is the decode step.

The tensors go by their official names (`names.py`). Axes: B batch, T time, C width, H heads, N head size,
V/K value/key channel, L layers, O vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.errors import StateMismatch
from engine.models.state import State, layout
from engine.ops.wkv7 import wkv7

if TYPE_CHECKING:
    from torch import Tensor

    from engine.types import ModelSpec

LN_EPS = 1e-5
GROUP_NORM_EPS = 64e-5  # the reference divides by head_size_divisor 8 in training: 1e-5 · 8²
LOG_W_SCALE = -0.606531  # −exp(−1/2), with the reference's digits: log_w = LOG_W_SCALE · σ(decay_logit)

LAYOUT = ("wkv_BLHVK", "att_shift_BLC", "ffn_shift_BLC")  # the state's tensors

MIXED = "rwkvag"  # order of the six token-shift mixtures


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of one model by short names, ready to compute with, in the run dtype."""

    emb: Tensor  # [O,C]
    ln0: tuple[Tensor, Tensor] | None  # None: already folded into emb
    blocks: tuple[dict[str, Tensor], ...]  # official names without "blocks.i.", and "att.mix" [6,1,1,C]
    ln_out: tuple[Tensor, Tensor]
    head: Tensor  # [O,C]


def arrange(tensors: dict[str, Tensor], n_layer: int) -> Weights:
    """Official names → `Weights`. Vectors are [C]; the six mixing vectors of a block become one tensor."""
    blocks: list[dict[str, Tensor]] = [{} for _ in range(n_layer)]
    for name, x in tensors.items():
        if name.startswith("blocks."):
            _, layer, short = name.split(".", 2)
            blocks[int(layer)][short] = x
    for block in blocks:
        block["att.mix"] = torch.stack([block.pop(f"att.x_{m}") for m in MIXED])[:, None, None]
    ln0 = None
    if "ln0.weight" in blocks[0]:
        ln0 = blocks[0].pop("ln0.weight"), blocks[0].pop("ln0.bias")
    ln_out = tensors["ln_out.weight"], tensors["ln_out.bias"]
    return Weights(tensors["emb.weight"], ln0, tuple(blocks), ln_out, tensors["head.weight"])


def fold(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """ln0 applied to the embedding once, in the dtype of the tensors, as the reference does; a new dict."""
    tensors = dict(tensors)
    weight, bias = tensors.pop("blocks.0.ln0.weight"), tensors.pop("blocks.0.ln0.bias")
    tensors["emb.weight"] = F.layer_norm(tensors["emb.weight"], weight.shape, weight, bias, LN_EPS)
    return tensors


def _layer_norm(x: Tensor, block: dict[str, Tensor], name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], block[f"{name}.weight"], block[f"{name}.bias"], LN_EPS)


def _previous(x: Tensor, last: Tensor) -> Tensor:
    """The token before each: x [B,T,C] moved by one, `last` [B,C] in front."""
    if x.shape[1] == 1:
        return last.unsqueeze(1)
    return torch.cat((last.unsqueeze(1), x[:, :-1]), dim=1)


def _low_rank(x: Tensor, w: dict[str, Tensor], letter: str) -> Tensor:
    """letter0 + (x·letter1)·letter2: the form of iclr and of the value residual's gate."""
    return torch.addmm(w[f"att.{letter}0"], x @ w[f"att.{letter}1"], w[f"att.{letter}2"])


def _log_w(x: Tensor, w: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
    """The decay's logarithm, from its logit on in the state's dtype."""
    decay_logit = torch.addmm(w["att.w0"], torch.tanh(x @ w["att.w1"]), w["att.w2"])
    return LOG_W_SCALE * torch.sigmoid(decay_logit.to(dtype))


def _mixed_value(v: Tensor, x: Tensor, v_first: Tensor | None, w: dict[str, Tensor]) -> Tensor:
    """v drawn towards the first layer's value by a gate; the first layer keeps its own."""
    return v if v_first is None else torch.lerp(v, v_first, torch.sigmoid(_low_rank(x, w, "v")))


def _output(y: Tensor, r: Tensor, k: Tensor, v: Tensor, gate: Tensor, w: dict[str, Tensor]) -> Tensor:
    """Group norm, the bonus of the current token, the gate.  y [M,C], r, k, v [M,H,N], gate [M,C]."""
    y = F.group_norm(y, r.shape[1], w["att.ln_x.weight"], w["att.ln_x.bias"], GROUP_NORM_EPS)
    bonus = (r * k * w["att.r_k"]).sum(-1, keepdim=True)
    y = torch.addcmul(y.view(v.shape), bonus, v).view(gate.shape)
    return F.linear(y * gate, w["att.output.weight"])


def _time_mix(
    x: Tensor, last: Tensor, wkv: Tensor, v_first: Tensor | None, w: dict[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """x [B,T,C] (LN1 output), last [B,C], wkv [B,H,V,K] → output [B,T,C], new wkv, v_first [B·T,C]."""
    B, T, C = x.shape
    H, N = w["att.r_k"].shape
    # one operation for the six mixtures x + (previous − x)·μ; then all tokens as rows of one matrix
    mixed = torch.addcmul(x, _previous(x, last) - x, w["att.mix"])
    x_r, x_w, x_k, x_v, x_a, x_g = mixed.view(6, B * T, C).unbind(0)
    r = F.linear(x_r, w["att.receptance.weight"])
    k = F.linear(x_k, w["att.key.weight"])
    v = F.linear(x_v, w["att.value.weight"])
    log_w = _log_w(x_w, w, wkv.dtype)
    iclr = torch.sigmoid(_low_rank(x_a, w, "a"))
    gate = torch.sigmoid(x_g @ w["att.g1"]) @ w["att.g2"]
    kappa = F.normalize((k * w["att.k_k"]).view(B, T, H, N), dim=-1)
    k = torch.lerp(k, k * iclr, w["att.k_a"])
    v = _mixed_value(v, x_v, v_first, w)
    r_h, log_w_h, k_h, v_h, iclr_h = (z.view(B, T, H, N) for z in (r, log_w, k, v, iclr))
    y, wkv = wkv7(r_h, log_w_h, k_h, v_h, -kappa, kappa * iclr_h, wkv)
    r, k, v_heads = (z.view(B * T, H, N) for z in (r, k, v))
    out = _output(y.reshape(B * T, C).to(x.dtype), r, k, v_heads, gate, w)
    return out.view(B, T, C), wkv, v if v_first is None else v_first


def _channel_mix(x: Tensor, last: Tensor, w: dict[str, Tensor]) -> Tensor:
    """x [B,T,C] (LN2 output), last [B,C] → [B,T,C]."""
    mixed = torch.addcmul(x, _previous(x, last) - x, w["ffn.x_k"])
    hidden = torch.relu(F.linear(mixed, w["ffn.key.weight"]))
    return F.linear(hidden * hidden, w["ffn.value.weight"])


class Rwkv7:
    """An RWKV-7 with its weights on one device.

    Args:
        tensors: by official name, vectors as [C], all in `dtype` on one device. With ln0: it is applied at
            every forward, as training needs; without: it has been folded (`fold`).
        dtype: run dtype; if the tensors are of another one (fp32 master weights in training) they are cast
            at every forward, and gradients reach them through the cast.
    """

    arch = "rwkv7"

    def __init__(
        self, spec: ModelSpec, tensors: dict[str, Tensor], *, dtype: torch.dtype | None = None
    ) -> None:
        self.spec = spec
        self.tensors = tensors
        first = tensors["emb.weight"]
        self.dtype = dtype or first.dtype
        self.device = first.device
        self._arranged: Weights | None = None

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in self.tensors.values())

    def _weights(self) -> Weights:
        """Trained weights change between calls, so only frozen ones are arranged once."""
        if self._arranged is not None:
            return self._arranged
        tensors = {name: x.to(self.dtype) for name, x in self.tensors.items()}
        arranged = arrange(tensors, self.spec.n_layer)
        if not any(x.requires_grad for x in self.tensors.values()):
            self._arranged = arranged
        return arranged

    def zero_state(self, batch: int = 1) -> State:
        """The state before the first token."""
        L, C, H, N = self.spec.n_layer, self.spec.n_embd, self.spec.n_head, self.spec.head_size
        wkv = torch.zeros(batch, L, H, N, N, dtype=torch.float32, device=self.device)
        shift = torch.zeros(batch, L, C, dtype=self.dtype, device=self.device)
        return State(
            self.arch, {"wkv_BLHVK": wkv, "att_shift_BLC": shift, "ffn_shift_BLC": torch.zeros_like(shift)}
        )

    def check_state(self, state: State, batch: int) -> None:
        """Raises StateMismatch unless `state` is one of this model's, with this batch size."""
        L, C, H, N = self.spec.n_layer, self.spec.n_embd, self.spec.n_head, self.spec.head_size
        expected = {
            "wkv_BLHVK": (batch, L, H, N, N),
            "att_shift_BLC": (batch, L, C),
            "ffn_shift_BLC": (batch, L, C),
        }
        if state.arch != self.arch or {n: tuple(x.shape) for n, x in state.tensors.items()} != expected:
            raise StateMismatch(f"{self.arch}: {expected}", layout(state))

    def forward(self, tokens: Tensor, state: State, *, all_logits: bool = False) -> tuple[Tensor, State]:
        """Feeds tokens [B,T] int64 (T ≥ 1) after `state`, which stays as it is.

        Returns logits fp32 for the next token, [B,O], or for every position, [B,T,O]; and the new state.
        Differentiable when a tensor of the model (or of the state) requires a gradient and grad is on.

        Raises:
            StateMismatch: the state is of another model or batch.
        """
        self.check_state(state, tokens.shape[0])
        weights = self._weights()
        x = F.embedding(tokens, weights.emb)
        if weights.ln0:
            x = F.layer_norm(x, x.shape[-1:], *weights.ln0, LN_EPS)
        x, new = self._blocks(x, state, weights)
        if not all_logits:
            x = x[:, -1]
        x = F.layer_norm(x, x.shape[-1:], *weights.ln_out, LN_EPS)
        return F.linear(x, weights.head).float(), new

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Feeds one token for each row, tokens [B] int64: `forward` with the recurrence done once."""
        return self.forward(tokens.unsqueeze(1), state)

    def _blocks(self, x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
        """x [B,T,C] through all blocks; the state's layers are read, and stacked anew."""
        wkvs, att_shifts, ffn_shifts = (state.tensors[name].unbind(1) for name in LAYOUT)
        new: dict[str, list[Tensor]] = {name: [] for name in LAYOUT}
        v_first = None
        for i, w in enumerate(weights.blocks):
            normed = _layer_norm(x, w, "ln1")
            out, wkv, v_first = _time_mix(normed, att_shifts[i], wkvs[i], v_first, w)
            x = x + out
            new["wkv_BLHVK"].append(wkv)
            new["att_shift_BLC"].append(normed[:, -1])
            normed = _layer_norm(x, w, "ln2")
            x = x + _channel_mix(normed, ffn_shifts[i], w)
            new["ffn_shift_BLC"].append(normed[:, -1])
        return x, State(self.arch, {name: torch.stack(layers, dim=1) for name, layers in new.items()})
