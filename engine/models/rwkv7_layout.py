"""RWKV-7's weights as the decode chain takes them: laid out once, and seen by the model, too.

The first matrices of a layer's low-rank networks are rows of one matrix [R,C], the second ones columns of
one [C,R], and the channel mix's second matrix has a row for each hidden unit. The model's own tensors become
views of these, so that no weight is there twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from engine.models.block import GROUP_NORM_EPS, LN_EPS
from engine.models.int8_names import SCALE
from engine.ops.gemv.arguments import Norm
from engine.ops.gemv.matrix import Matrix
from engine.ops.head_step.arguments import HeadStep
from engine.ops.time_mix_in.arguments import LOW_RANK, MIXED, Ranks, TimeMixIn

if TYPE_CHECKING:
    from torch import Tensor

Tensors = dict[str, torch.Tensor]
_VALUE = "ffn.value.weight"


class Layer(NamedTuple):
    """One layer.

    Attributes:
        share: [6,C], of the token before in the six mixtures.
        x_k: [C], the same of the channel mix.
        value: [F,C], a row for each hidden unit.
    """

    ln1: Norm
    share: Tensor
    time_mix_in: TimeMixIn
    head_step: HeadStep
    output: Matrix
    ln2: Norm
    x_k: Tensor
    key: Matrix
    value: Matrix


def lay_out(tensors: Tensors, layer: int) -> None:
    """Replaces the tensors of one layer (official names) by views of what the chain takes; again: nothing."""
    prefix = f"blocks.{layer}."
    shares = [f"{prefix}att.x_{letter}" for letter in MIXED]
    if joined_rows([tensors[name] for name in shares]) is None:
        tensors.update(zip(shares, torch.stack([tensors[name] for name in shares]).unbind(0), strict=True))
    letters = [letter for letter in LOW_RANK if f"{prefix}att.{letter}2" in tensors]
    for number, dim in (("1", 0), ("2", 1)):
        names = [f"{prefix}att.{letter}{number}" for letter in letters]
        if _joined([tensors[name].mT for name in names], dim) is None:
            whole = torch.cat([tensors[name].mT for name in names], dim)
            parts = whole.split([tensors[name].shape[1 - dim] for name in names], dim)
            tensors.update({name: part.mT for name, part in zip(names, parts, strict=True)})
    if prefix + _VALUE + SCALE not in tensors:
        tensors[prefix + _VALUE] = tensors[prefix + _VALUE].mT.contiguous().mT


def _joined(parts: list[Tensor], dim: int) -> Tensor | None:
    """The one contiguous matrix that the parts are consecutive views of; None: they are none."""
    first = parts[0]
    shape = list(first.shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    at = first.storage_offset()
    for part in parts:
        same = part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        one_row = part.shape[0] == 1  # whose stride means nothing
        if not same or part.storage_offset() != at or part.stride()[one_row:] != (shape[1], 1)[one_row:]:
            return None
        at += part.shape[dim] * (shape[1] if dim == 0 else 1)
    return first.as_strided(shape, (shape[1], 1))


def joined_rows(rows: list[Tensor]) -> Tensor | None:
    """The contiguous matrix [M,C] that vectors [C] are the rows of, in order; None: of none."""
    return _joined([row[None] for row in rows], 0)


def layer_of(w: Tensors) -> Layer:
    """From a laid-out block (names without "blocks.i.", and `att.mix`)."""
    return Layer(
        ln1=_norm(w, "ln1"),
        share=w["att.mix"].flatten(0, 2),
        time_mix_in=_time_mix_in(w),
        head_step=_head_step(w),
        output=matrix_of(w, "att.output.weight"),
        ln2=_norm(w, "ln2"),
        x_k=w["ffn.x_k"],
        key=matrix_of(w, "ffn.key.weight"),
        value=_value(w),
    )


def matrix_of(w: Tensors, name: str) -> Matrix:
    return Matrix(w[name], w.get(name + SCALE))


def _value(w: Tensors) -> Matrix:
    found = matrix_of(w, _VALUE)
    return found if found.scale is not None else Matrix(found.values.mT)


def _norm(w: Tensors, name: str) -> Norm:
    return Norm(w[f"{name}.weight"], w[f"{name}.bias"], LN_EPS)


def _low_rank(w: Tensors, number: str, dim: int) -> tuple[Tensor, Ranks]:
    parts = {letter: w[f"att.{letter}{number}"].mT for letter in LOW_RANK if f"att.{letter}{number}" in w}
    whole = _joined(list(parts.values()), dim)
    if whole is None:
        raise ValueError("weights that are not laid out")
    return whole, Ranks(*(parts[letter].shape[dim] if letter in parts else 0 for letter in LOW_RANK))


def _time_mix_in(w: Tensors) -> TimeMixIn:
    r, k, v = (matrix_of(w, f"att.{name}.weight") for name in ("receptance", "key", "value"))
    return TimeMixIn(r, k, v, *_low_rank(w, "1", 0))


def _head_step(w: Tensors) -> HeadStep:
    vectors = {name: w[f"att.{name}"] for name in ("w0", "a0", "k_k", "k_a", "r_k")}
    norm = Norm(w["att.ln_x.weight"], w["att.ln_x.bias"], GROUP_NORM_EPS)
    return HeadStep(*_low_rank(w, "2", 1), v0=w.get("att.v0", w["att.a0"]), norm=norm, **vectors)
