"""RWKV-7's decode step on a CPU: one token of one sequence, in as few operations as PyTorch allows.

An operation on one token's vectors takes about a microsecond, most of it the call itself, and a layer of the
general form (`rwkv7.py`) has more than a hundred. Here it has about fifty, on memory that is laid out once:

- the six mixtures, and the three vectors that go with them, lie one after the other and are treated together;
- the second matrices of the four low-rank pairs, each with its constant as one more row, make four sums of
  rows, which are one operation (`low_rank.py`);
- what is between the products is in fp32.

The equations are `rwkv7.py`'s, and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.models.block import GROUP_NORM_EPS, LN_EPS
from engine.models.int8_names import SCALE
from engine.models.low_rank import LOW_RANK, LowRank, stacked
from engine.models.rwkv7_names import LOG_W_SCALE, MIXED
from engine.models.state import State
from engine.ops.ffn_value.one import one_token_sum
from engine.ops.linear.alone import ready_matrix
from engine.ops.linear.digits import rows_for
from engine.ops.wkv7.one import Wkv7One

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.model import Block, Weights
    from engine.ops.ffn_value.one import OneToken
    from engine.ops.linear.one_row import OneRow
    from engine.types import ModelSpec

_NAMES = ("wkv_BLHVK", "att_shift_BLC", "ffn_shift_BLC")
_R, _K, _V = (f"att.{name}.weight" for name in ("receptance", "key", "value"))
_INPUTS = tuple(MIXED.index(letter) for letter in "rkv")
_VALUE = "ffn.value.weight"
_LEAST_NORM = 1e-12  # of a key, as F.normalize has it


@dataclass(frozen=True, slots=True)
class _Layer:
    ln1: tuple[Tensor, Tensor]
    ln2: tuple[Tensor, Tensor]
    mix: Tensor  # [6,C]
    x_k: Tensor  # [1,C]
    low_in: tuple[Tensor, ...]  # [R,C] each
    low_out: Tensor  # rows of all pairs, [ΣR + 3, C]
    k_k: Tensor  # [H,N], fp32, with the other sign
    k_a: Tensor  # [H,N], fp32
    r_k: Tensor  # [H,N], fp32
    ln_x: tuple[Tensor, Tensor]  # [H,N], fp32
    projections: tuple[OneRow, OneRow, OneRow]  # r, k, v
    output: OneRow
    key: OneRow
    value: OneToken


class Rwkv7Step:
    """One model's step. Calls follow each other: the memory in between is shared by all layers."""

    def __init__(self, spec: ModelSpec, weights: Weights, dtype: torch.dtype) -> None:
        C, H, N, F_ = spec.n_embd, spec.n_embd // spec.head_size, spec.head_size, spec.n_ffn
        self._emb, self._ln0, self._ln_out, self._sizes = weights.emb, weights.ln0, weights.ln_out, (C,)
        self._head_size = (N,)
        self._layers = tuple(_layer(block, spec.rank("v")) for block in weights.blocks)
        self._head = _matrix(weights.head, "head.weight")
        first = self._layers[0]
        self._mixed = rows_for(first.projections[0], 6, C, dtype)
        self._gated = rows_for(first.output, 1, C, dtype)
        self._mixed_k = rows_for(first.key, 1, C, dtype)
        self._last = rows_for(self._head, 1, C, dtype)
        self._low_inputs = tuple(self._mixed.each[MIXED.index(letter)] for letter in LOW_RANK)
        self._difference = torch.zeros(C, dtype=dtype)
        self._low = LowRank([len(x) for x in first.low_in], C, dtype)
        self._rkv = torch.zeros(3, C, dtype=first.projections[0].dtype)
        self._rkv_each = self._rkv.unbind(0)
        self._wide = torch.zeros(3, C)
        self._views = tuple(x.view(H, N) for x in self._wide)
        self._gates, self._gate = self._low.out[:3], self._low.out[3]
        self._gate_views = tuple(x.view(H, N) for x in self._gates)
        self._v_first = torch.zeros(H, N)
        self._wkv = Wkv7One(self._views[0])
        self._out = torch.zeros(C, dtype=first.output.dtype)
        self._hidden = torch.zeros(F_, dtype=first.key.dtype)
        self._logits = torch.zeros(spec.vocab_size, dtype=self._head.dtype)

    def __call__(self, token: int, state: State) -> tuple[Tensor, State]:
        """Logits fp32 [1,O] and the new state, of batch 1; the old one stays."""
        old, shift, ffn_shift = (state.tensors[name][0] for name in _NAMES)
        new = torch.empty_like(old)
        shifts: list[Tensor] = []
        ffn_shifts: list[Tensor] = []
        x = self._embedded(token)
        parts = zip(self._layers, old, new, shift, ffn_shift, strict=True)
        for i, (layer, its_old, its_new, last, ffn_last) in enumerate(parts):
            normed = torch.layer_norm(x, self._sizes, *layer.ln1, LN_EPS)
            shifts.append(normed)
            self._time_mix(layer, normed, last, its_old, its_new, first=i == 0)
            x.add_(self._out, alpha=self._gated.step)
            normed = torch.layer_norm(x, self._sizes, *layer.ln2, LN_EPS)
            ffn_shifts.append(normed)
            added = self._channel_mix(layer, normed, ffn_last)
            x.add_(added, alpha=self._mixed_k.step**2)  # as a square is taken
        made = (new[None], torch.stack(shifts)[None], torch.stack(ffn_shifts)[None])
        return self._read_out(x), State(state.arch, dict(zip(_NAMES, made, strict=True)))

    def _embedded(self, token: int) -> Tensor:
        x = self._emb[token]
        return x.clone() if self._ln0 is None else torch.layer_norm(x, self._sizes, *self._ln0, LN_EPS)

    def _read_out(self, x: Tensor) -> Tensor:
        self._last.x[0] = torch.layer_norm(x, self._sizes, *self._ln_out, LN_EPS)
        self._last.ready()
        self._head(self._last, 0, self._logits)
        return torch.mul(self._logits.float(), self._last.step)[None]

    def _time_mix(self, w: _Layer, x: Tensor, last: Tensor, old: Tensor, new: Tensor, *, first: bool) -> None:
        """x, last [C]; old and new wkv [H,V,K] → `_out`, to be multiplied with `_gated.step`."""
        torch.sub(last, x, out=self._difference)
        torch.addcmul(x, self._difference, w.mix, out=self._mixed.x)
        self._mixed.ready()
        for i, product, out in zip(_INPUTS, w.projections, self._rkv_each, strict=True):
            product(self._mixed, i, out)
        torch.mul(self._rkv, self._mixed.step, out=self._wide)
        self._low(self._low_inputs, w.low_in, w.low_out)
        bonus = self._fill(w, first=first)
        y = torch.layer_norm(self._wkv(old, new), self._head_size, None, None, GROUP_NORM_EPS)
        y = torch.addcmul(w.ln_x[1], y, w.ln_x[0]).addcmul_(bonus, self._wkv.v)
        torch.mul(y.view(-1), self._gate, out=self._gated.each[0])
        self._gated.ready()
        w.output(self._gated, 0, self._out)

    def _fill(self, w: _Layer, *, first: bool) -> Tensor:
        """Writes the recurrence's vectors, from r, k, v and low-rank outputs; returns Σ r·k·r_k [H,1]."""
        wkv, (r, k, v) = self._wkv, self._views
        self._gates.sigmoid_()
        decay, iclr, share = self._gate_views
        torch.mul(decay, LOG_W_SCALE, out=wkv.decay).exp_()
        removal = torch.mul(k, w.k_k)
        length = torch.linalg.vector_norm(removal, dim=1, keepdim=True).clamp_min_(_LEAST_NORM)
        torch.div(removal, length, out=wkv.a)
        torch.mul(wkv.a, iclr, out=wkv.b).neg_()
        torch.lerp(k, k * iclr, w.k_a, out=wkv.k)
        if first:
            self._v_first.copy_(v)
            wkv.v.copy_(v)
        else:
            torch.lerp(v, self._v_first, share, out=wkv.v)
        return (r * wkv.k).mul_(w.r_k).sum(1, keepdim=True)

    def _channel_mix(self, w: _Layer, x: Tensor, last: Tensor) -> Tensor:
        """x, last [C] → [C]."""
        torch.sub(last, x, out=self._difference)
        torch.addcmul(x, self._difference, w.x_k, out=self._mixed_k.x)
        self._mixed_k.ready()
        w.key(self._mixed_k, 0, self._hidden)
        self._hidden.relu_()
        self._hidden.mul_(self._hidden)
        return w.value(self._hidden)


def _layer(w: Block, rank_v: int) -> _Layer:
    """The tensors of `Rwkv7.arrange`, as the step takes them; the large ones stay where they are."""
    H, N = w["att.r_k"].shape
    low_in, low_out = stacked(w, rank_v)
    return _Layer(
        ln1=(w["ln1.weight"], w["ln1.bias"]),
        ln2=(w["ln2.weight"], w["ln2.bias"]),
        mix=w["att.mix"].flatten(1),
        x_k=w["ffn.x_k"][None],
        low_in=low_in,
        low_out=low_out,
        k_k=-w["att.k_k"].float().view(H, N),
        k_a=w["att.k_a"].float().view(H, N),
        r_k=w["att.r_k"].float(),
        ln_x=(w["att.ln_x.weight"].float().view(H, N), w["att.ln_x.bias"].float().view(H, N)),
        projections=(_matrix(w, _R), _matrix(w, _K), _matrix(w, _V)),
        output=_matrix(w, "att.output.weight"),
        key=_matrix(w, "ffn.key.weight"),
        value=one_token_sum(w[_VALUE], w.get(_VALUE + SCALE), w["ln1.weight"].dtype),
    )


def _matrix(w: Block, name: str) -> OneRow:
    return ready_matrix(w[name], w.get(name + SCALE))
