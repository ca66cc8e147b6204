"""From the tensors of a file to those that a model computes with: done once, tensor by tensor.

ln0 is folded into the embedding, in fp32 from the stored values. Versions 4 to 6 in fp16 halve the residual
stream after every 6 layers, since it outgrows fp16: what the layers add to it is halved as often beforehand
(`ln_out` makes the scale irrelevant). Their decays, bonuses and group norms stay fp32 in every tier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.models.block import LN_EPS
from engine.models.names import Shapes, expected_shapes, split_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.types import ModelSpec

LN0 = ("blocks.0.ln0.weight", "blocks.0.ln0.bias")
HALVED_EVERY = 6
SMALLEST_TEXT_VOCABULARY = (
    20_096  # below: music models, whose stream stays small; the reference halves nothing
)
_ADDED = {"att.output.weight", "ffn.value.weight"}  # what is added to the residual stream comes out of these
_EXACT = {"att.time_decay", "att.time_first", "att.time_faaaa", "att.ln_x.weight", "att.ln_x.bias"}
_ROWS = 4096  # of the embedding, folded at once


def halved_every(spec: ModelSpec, dtype: torch.dtype) -> int:
    """After how many layers the residual stream is halved; 0: never."""
    text = spec.vocab_size >= SMALLEST_TEXT_VOCABULARY
    return HALVED_EVERY if dtype == torch.float16 and spec.arch != "rwkv7" and text else 0


def dtype_of(name: str, spec: ModelSpec, dtype: torch.dtype) -> torch.dtype:
    """What a tensor is kept in when `dtype` is the run dtype."""
    found = split_name(name)
    exact = spec.arch != "rwkv7" and found is not None and found[1] in _EXACT
    return torch.float32 if exact else dtype


def prepared_shapes(spec: ModelSpec) -> Shapes:
    """Every tensor after `prepare`, vectors as [C]."""
    return {name: shape for name, shape in expected_shapes(spec).items() if name not in LN0}


def _folded(emb: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """LN(emb; ln0) in `dtype`; some rows at a time, since fp32 may need twice the room of the file."""
    out = torch.empty(emb.shape, dtype=dtype, device=emb.device)
    weight, bias = weight.float(), bias.float()
    for rows, into in zip(emb.split(_ROWS), out.split(_ROWS), strict=True):
        into.copy_(F.layer_norm(rows.float(), weight.shape, weight, bias, LN_EPS))
    return out


def prepare_tensor(name: str, read: Callable[[str], Tensor], spec: ModelSpec, dtype: torch.dtype) -> Tensor:
    """One tensor of `prepared_shapes`, from those that `read` gives by official name, vectors as [C].

    It may share memory with what was read, where nothing had to be changed.
    """
    if name == "emb.weight":
        return _folded(read(name), read(LN0[0]), read(LN0[1]), dtype)
    x = read(name).to(dtype_of(name, spec, dtype))
    times = halvings(name, spec, dtype)
    return x / 2**times if times else x


def is_unchanged(name: str, stored: torch.dtype, spec: ModelSpec, dtype: torch.dtype) -> bool:
    """Whether a tensor stored in this dtype can be used as it is; the embedding only with ln0 beside it."""
    return stored == dtype_of(name, spec, dtype) and not halvings(name, spec, dtype)


def halvings(name: str, spec: ModelSpec, dtype: torch.dtype) -> int:
    """How often a tensor is halved, since the residual stream that it is added to is."""
    found, every = split_name(name), halved_every(spec, dtype)
    return found[0] // every if every and found and found[1] in _ADDED else 0


def prepare(tensors: dict[str, Tensor], spec: ModelSpec, dtype: torch.dtype) -> dict[str, Tensor]:
    """All tensors of a model, from those by official name (vectors as [C])."""
    return {name: prepare_tensor(name, tensors.__getitem__, spec, dtype) for name in prepared_shapes(spec)}
