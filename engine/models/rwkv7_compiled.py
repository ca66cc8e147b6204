"""RWKV-7's decode step on a CPU by `engine.ops.token7`: what of a model it is told, and its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.models.block import LN_EPS
from engine.models.int8_names import SCALE
from engine.models.low_rank import LOW_RANK, stacked
from engine.models.state import State
from engine.ops.token7 import tables as at
from engine.ops.token7.digits import bytes_of
from engine.ops.token7.kernels import HEADS, PRODUCTS, SUMS
from engine.ops.token7.team import Team
from engine.ops.token7.token import token as feed

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.model import Block, Weights
    from engine.types import ModelSpec

_NAMES = ("wkv_BLHVK", "att_shift_BLC", "ffn_shift_BLC")
_MATRICES = {
    at.RECEPTANCE: "att.receptance.weight",
    at.KEY: "att.key.weight",
    at.VALUE: "att.value.weight",
    at.OUTPUT: "att.output.weight",
    at.FFN_KEY: "ffn.key.weight",
}
_VECTORS = {
    at.LN1_WEIGHT: "ln1.weight",
    at.LN1_BIAS: "ln1.bias",
    at.LN2_WEIGHT: "ln2.weight",
    at.LN2_BIAS: "ln2.bias",
    at.MIX: "att.mix",
    at.X_K: "ffn.x_k",
    at.K_K: "att.k_k",
    at.K_A: "att.k_a",
    at.R_K: "att.r_k",
    at.LN_X_WEIGHT: "att.ln_x.weight",
    at.LN_X_BIAS: "att.ln_x.bias",
}
_FORMS = {
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.int8: "int8",
    torch.uint8: "int4",
}


class Rwkv7Compiled:
    """One model's step. Calls follow each other: the memory in between is shared."""

    def __init__(self, spec: ModelSpec, weights: Weights) -> None:
        C, N = spec.n_embd, spec.head_size
        ranks = [spec.rank(letter) for letter in LOW_RANK]
        sizes = (spec.n_layer, C, C // N, N, spec.n_ffn, spec.vocab_size, *ranks)
        self._sizes = np.array(sizes, dtype=np.int64)
        self._emb, self._ln0, self._held = weights.emb, weights.ln0, []
        self._table = np.zeros((spec.n_layer + 1, at.LAYER_COLUMNS), dtype=np.int64)
        for line, block in zip(self._table, weights.blocks, strict=False):
            self._tell_layer(line, block, spec.rank("v"))
        last = self._table[-1]
        last[at.LN_OUT_WEIGHT], last[at.LN_OUT_BIAS] = (self._vector(x) for x in weights.ln_out)
        self._tell_matrix(last, at.HEAD, weights.head, "head.weight")
        hidden = np.ones(sum(ranks) + 3, np.float32)  # where constants are, ones stay
        v_first, out, ffn = (np.zeros(n, np.float32) for n in (C, C, spec.n_ffn))
        self._common = (np.zeros((3, C), np.float32), hidden, v_first, out, ffn)
        self._shared = np.zeros(at.COUNTERS + at.PHASES * spec.n_layer + 1, np.int64)
        self._team, self._own = Team(1), (_own(spec),)
        self._spec = spec

    def __call__(self, token: int, state: State) -> tuple[Tensor, State]:
        """Logits fp32 [1,O] and the new state, of batch 1; the old one stays."""
        old, last, ffn_last = (state.tensors[name][0] for name in _NAMES)
        new = torch.empty_like(old)
        made = tuple(torch.empty(x.shape, dtype=torch.float32) for x in (last, ffn_last))
        logits = torch.empty(self._spec.vocab_size)
        outer = (last.float(), made[0], ffn_last.float(), made[1], old.contiguous(), new)
        self._run(self._embedded(token), logits, outer)
        shifts = (x.to(last.dtype)[None] for x in made)
        return logits[None], State(state.arch, dict(zip(_NAMES, (new[None], *shifts), strict=True)))

    def _run(self, x: Tensor, logits: Tensor, outer: tuple[Tensor, ...]) -> None:
        self._gather(torch.get_num_threads())
        self._shared[:] = 0
        arrays = (
            *(self._table, self._sizes, x.numpy(), *self._common, logits.numpy()),
            *(each.numpy() for each in outer),
        )
        size, own, shared = self._team.size, self._own, self._shared
        self._team.run(lambda thread: feed(*arrays, *own[thread], shared, thread, size))

    def _gather(self, threads: int) -> None:
        if threads != self._team.size:
            self._team, self._own = Team(threads), tuple(_own(self._spec) for _ in range(threads))

    def _embedded(self, token: int) -> Tensor:
        x = self._emb[token]
        if self._ln0 is not None:
            x = torch.layer_norm(x, x.shape, *self._ln0, LN_EPS)
        return x.to(torch.float32, copy=True)

    def _tell_layer(self, line: np.ndarray, block: Block, rank_v: int) -> None:
        for column, name in _VECTORS.items():
            line[column] = self._vector(block[name])
        for column, name in _MATRICES.items():
            self._tell_matrix(line, column, block, name)
        first, second = stacked(block, rank_v)
        line[at.LOW_W : at.LOW_OUT] = [self._address(x) for x in first]
        by_heads = second.unflatten(1, (-1, int(self._sizes[at.HEAD_SIZE]))).transpose(0, 1)
        line[at.LOW_OUT] = self._address(by_heads)
        form = _FORMS[second.dtype]
        line[at.LOW_BYTES] = second.element_size()
        line[at.LOW_MULTIPLY], line[at.LOW_ADD] = PRODUCTS[form][0].address, HEADS[form].address
        value = block["ffn.value.weight"]
        is_bytes = value.dtype == torch.uint8
        line[at.FFN_VALUE] = self._address(value if is_bytes else value.mT)
        add, weigh = SUMS["bytes" if is_bytes else _FORMS[value.dtype]]
        line[at.FFN_VALUE_ADD], line[at.FFN_VALUE_WEIGH] = add.address, 0 if weigh is None else weigh.address

    def _tell_matrix(self, line: np.ndarray, column: int, block: Block, name: str) -> None:
        matrix, scale = block[name], block.get(name + SCALE)
        multiply, prepare = PRODUCTS[_FORMS[matrix.dtype]]
        line[column] = self._address(matrix)
        line[column + at.SCALE] = 0 if scale is None else self._address(scale)
        line[column + at.MULTIPLY] = multiply.address
        line[column + at.PREPARE] = 0 if prepare is None else prepare.address

    def _vector(self, x: Tensor) -> int:
        return self._address(x.float())

    def _address(self, x: Tensor) -> int:
        """Of numbers side by side; what had to be copied for it is held."""
        self._held.append(x.contiguous())
        return self._held[-1].data_ptr()


def _own(spec: ModelSpec) -> tuple[np.ndarray, ...]:
    """A thread's own memory."""
    C, F = spec.n_embd, spec.n_ffn
    return (
        np.zeros((at.OWN_VECTORS, C), np.float32),
        np.zeros((at.HEAD_VECTORS, spec.head_size), np.float32),
        np.zeros(F + 1, np.int64),
        np.zeros(F + 1, np.float32),
        np.zeros((at.INPUTS, bytes_of(C)), np.int8),
    )
