"""The official tensor names and shapes of RWKV-7.

`.weight` matrices are [out,in], low-rank ones [in,rank] and [rank,out]; most vectors are stored [1,1,C].
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.types import ModelSpec

_WIDE = {f"att.x_{m}" for m in "rwkvag"} | {"att.w0", "att.a0", "att.v0", "att.k_k", "att.k_a", "ffn.x_k"}
_NORMS = {"ln0.weight", "ln0.bias", "ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias"}
_NORMS |= {"att.ln_x.weight", "att.ln_x.bias"}
# present in some official files, absent in others, and never used: block 0 has no earlier value to mix with
UNUSED = frozenset(f"blocks.0.att.v{i}" for i in range(3))

_LAYER = re.compile(r"blocks\.(0|[1-9][0-9]{0,3})\.(.+)")


def split_name(name: str) -> tuple[int, str] | None:
    """ "blocks.3.att.r_k" → (3, "att.r_k"); None for a name outside the blocks."""
    found = _LAYER.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


def block_shapes(spec: ModelSpec, layer: int) -> dict[str, tuple[int, ...]]:
    """Shapes of one block's tensors, vectors as [C], under names without "blocks.i."."""
    C, F = spec.n_embd, spec.n_ffn
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(sorted(_WIDE | _NORMS), (C,))
    if layer > 0:
        del shapes["ln0.weight"], shapes["ln0.bias"]
    shapes["att.r_k"] = (spec.n_head, spec.head_size)
    for letter in "wavg":
        rank = spec.rank(letter)
        shapes[f"att.{letter}1"], shapes[f"att.{letter}2"] = (C, rank), (rank, C)
    for name in ("receptance", "key", "value", "output"):
        shapes[f"att.{name}.weight"] = (C, C)
    shapes["ffn.key.weight"], shapes["ffn.value.weight"] = (F, C), (C, F)
    return shapes


def expected_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model by official name, vectors as [C]; the unused ones of block 0 left out."""
    C = spec.n_embd
    shapes = {"emb.weight": (spec.vocab_size, C), "head.weight": (spec.vocab_size, C)}
    shapes |= {"ln_out.weight": (C,), "ln_out.bias": (C,)}  # pyright: ignore[reportAssignmentType]  ranks differ
    for layer in range(spec.n_layer):
        shapes |= {f"blocks.{layer}.{n}": s for n, s in block_shapes(spec, layer).items()}  # pyright: ignore[reportAssignmentType]
    return {name: shape for name, shape in shapes.items() if name not in UNUSED}


def stored_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape under which official files keep the tensor: [C] becomes [1,1,C] for most vectors."""
    found = split_name(name)
    return (1, 1, *shape) if found and found[1] in _WIDE else shape
