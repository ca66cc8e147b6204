"""RWKV-7's decode step as a chain of kernels: five for each layer, one before and one after.

    embed → (time_mix_in → head_step → output → ffn_key → ffn_value) · L → head

Every norm, mixture, activation and sum is part of the kernel whose matrix it stands before or after. The
residual stream x, and all vectors between kernels, are fp32. A kernel reads what the one before wrote, and
nothing is written while a program reads it: the kernel after the one that mixes with a shift replaces it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from engine.models.block import LN_EPS
from engine.models.rwkv7_layout import matrix_of
from engine.models.state import State
from engine.ops.cards import Card, card_of
from engine.ops.embed.naive import embed_naive
from engine.ops.ffn_value.naive import ffn_value_add_naive
from engine.ops.gemv.arguments import End, Mix, Norm
from engine.ops.gemv.naive import project_naive
from engine.ops.head_step.arguments import HeadStates
from engine.ops.head_step.naive import head_step_naive
from engine.ops.time_mix_in.arguments import MIXED
from engine.ops.time_mix_in.naive import time_mix_in_naive

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.models.rwkv7 import Rwkv7
    from engine.models.rwkv7_layout import Layer
    from engine.ops.gemv.matrix import Matrix
    from engine.types import ModelSpec


SMALLEST_HEAD = 16
MANY_FROM = 4  # rows of a batch: from here on tensor cores, and every weight is read once for all


def takes(spec: ModelSpec) -> bool:
    """Whether the kernels can compute a model of these dimensions; every official RWKV-7 is one."""
    N = spec.head_size
    return spec.arch == "rwkv7" and N >= SMALLEST_HEAD and N & (N - 1) == 0


class Operations(NamedTuple):
    """What a step is made of; all write in place."""

    embed: Callable[..., None]
    time_mix_in: Callable[..., None]
    head_step: Callable[..., None]
    project: Callable[..., None]
    ffn_value: Callable[..., None]


TWINS = Operations(embed_naive, time_mix_in_naive, head_step_naive, project_naive, ffn_value_add_naive)


def kernels(device: torch.device, batch: int, layers: tuple[Layer, ...], head: Matrix) -> Operations:
    """The same as kernels of Triton, with what room they need."""
    from engine.ops.embed.triton_embed import embed
    from engine.ops.gemv.triton_many import takes_many
    from engine.ops.head_step.triton_head_step import head_step

    card = card_of(device)
    used = (head, *(matrix for layer in layers for matrix in _matrices(layer)))
    many = batch >= MANY_FROM and all(takes_many(matrix, batch, card) for matrix in used)
    products = _for_many(device, batch, layers) if many else _for_one(card, device, batch, layers)
    made: tuple[Callable[..., Any], ...] = (embed, products[0], head_step, *products[1:])
    return Operations(*(partial(each, card=card) for each in made))


def _matrices(layer: Layer) -> tuple[Matrix, ...]:
    return (*layer.time_mix_in[:3], layer.output, layer.key, layer.value)


def _for_one(
    card: Card, device: torch.device, batch: int, layers: tuple[Layer, ...]
) -> tuple[Callable[..., None], ...]:
    from engine.ops.ffn_value.triton_sparse import ffn_value_sparse, units_room
    from engine.ops.gemv.triton_project import project
    from engine.ops.time_mix_in.triton_time_mix_in import time_mix_in

    room = max(units_room(card, batch, layer.value) for layer in layers)
    units = torch.empty(room, dtype=torch.int32, device=device)
    return time_mix_in, project, partial(ffn_value_sparse, units=units)


def _for_many(device: torch.device, batch: int, layers: tuple[Layer, ...]) -> tuple[Callable[..., None], ...]:
    from engine.ops.ffn_value.triton_many import PARTS, ffn_value_many
    from engine.ops.gemv.triton_many import project_many
    from engine.ops.time_mix_in.triton_many import time_mix_in_many

    numbers, dtype = batch * layers[0].value.width, layers[0].value.values.dtype
    planes = torch.empty(len(MIXED) * numbers, dtype=dtype, device=device)
    parts = torch.empty(PARTS * numbers, dtype=torch.float32, device=device)
    with_planes = (partial(each, planes=planes) for each in (time_mix_in_many, project_many))
    return *with_planes, partial(ffn_value_many, parts=parts)


class Chain7:
    """One batch in static buffers; see `engine.graphs.Stepper`.

    Args:
        batch: B. Below `MANY_FROM`, and packed: every row reads all weights, from the card's cache but for
            the first. From there on a layer takes eight kernels, and vectors are rounded to the run dtype
            before a product.
        plain: with the kernels' plain twins.

    Attributes:
        tokens: int64 [B], fed by the next step.  logits: fp32 [B,O], of the last one.
    """

    def __init__(self, model: Rwkv7, batch: int = 1, *, plain: bool = False) -> None:
        spec, device = model.spec, model.device
        self._weights, self._layers = model.decode_weights()
        C, F, O = spec.n_embd, spec.n_ffn, spec.vocab_size  # noqa: E741  the vocabulary's letter
        ranks = max(sum(layer.time_mix_in.ranks) for layer in self._layers)
        self._arch, self._head = spec.arch, matrix_of(self._weights.head, "head.weight")
        self._ops = TWINS if plain else kernels(device, batch, self._layers, self._head)
        self._held = {
            name: x.transpose(0, 1).contiguous() for name, x in model.zero_state(batch).tensors.items()
        }
        self.tokens = torch.zeros(batch, dtype=torch.int64, device=device)
        fp32 = partial(torch.zeros, dtype=torch.float32, device=device)
        self.logits = fp32(batch, O)
        self._x, self._normed, self._y, self._v_first = (fp32(batch, C) for _ in range(4))
        self._rkv, self._low, self._units = fp32(batch, 3, C), fp32(batch * ranks), fp32(batch, F)

    def load(self, state: State) -> None:
        """The state that the next step continues, of this batch."""
        for name, x in self._held.items():
            x.copy_(state.tensors[name].transpose(0, 1))

    def state(self) -> State:
        """A copy of what has consumed every token so far."""
        return State(self._arch, {name: x.transpose(0, 1).clone() for name, x in self._held.items()})

    def step(self) -> None:
        """Feeds `tokens`: all launches of one token. No allocation, no wait; may be captured."""
        self._ops.embed(self.tokens, self._weights.emb, self._x)
        for i, layer in enumerate(self._layers):
            self._time_mix(layer, self._held["wkv_BLHVK"][i], self._held["att_shift_BLC"][i])
            self._channel_mix(layer, self._held["ffn_shift_BLC"][i])
        norm = Norm(*self._weights.ln_out, LN_EPS)
        self._ops.project(self._x, self._head, self.logits, norm=norm)

    def _time_mix(self, layer: Layer, wkv: Tensor, shift: Tensor) -> None:
        ranks = sum(layer.time_mix_in.ranks)
        low = self._low[: len(self.tokens) * ranks].view(-1, ranks)
        mix = Mix(shift, layer.share, self._normed)
        self._ops.time_mix_in(self._x, layer.ln1, mix, layer.time_mix_in, self._rkv, low)
        states = HeadStates(wkv, shift, self._normed, self._v_first)
        self._ops.head_step(self._rkv, low, layer.head_step, states, self._y)
        self._ops.project(self._y, layer.output, self._x, end=End.ADD)

    def _channel_mix(self, layer: Layer, shift: Tensor) -> None:
        mix = Mix(shift, layer.x_k, self._normed)
        self._ops.project(self._x, layer.key, self._units, norm=layer.ln2, mix=mix, end=End.SQUARED_RELU)
        self._ops.ffn_value(self._units, layer.value, self._x, self._normed, shift)
