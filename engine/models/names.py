"""The official tensor names and shapes of every version; no torch in here.

Names are those of the official `.pth` files. `.weight` matrices are [out,in]; a vector is [C] here, whatever
the file keeps it as ([1,1,C] mostly), and so is a number per head, [H]. What lies between the time mix and
the channel mix of a block is the version's own (`rwkv4_names.py` …); the rest is common.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.models import rwkv4_names, rwkv5_names, rwkv6_names, rwkv7_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.types import ModelSpec

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

# architecture → the tensors of a layer's two mixes, by names without "blocks.i."
MIXES: dict[str, Callable[[ModelSpec, int], Shapes]] = {
    "rwkv4": rwkv4_names.mixes,
    "rwkv5.0": rwkv5_names.mixes,
    "rwkv5.1": rwkv5_names.mixes,
    "rwkv5.2": rwkv5_names.mixes,
    "rwkv6": rwkv6_names.mixes,
    "rwkv7": rwkv7_names.mixes,
}

# architecture → vectors that official files keep as [1,1,C]
_WIDE: dict[str, frozenset[str]] = {
    "rwkv4": rwkv4_names.WIDE,
    "rwkv5.0": rwkv5_names.WIDE,
    "rwkv5.1": rwkv5_names.WIDE,
    "rwkv5.2": rwkv5_names.WIDE,
    "rwkv6": rwkv6_names.WIDE,
    "rwkv7": rwkv7_names.WIDE,
}

_LAYER = re.compile(r"blocks\.(0|[1-9][0-9]{0,3})\.(.+)")


def split_name(name: str) -> tuple[int, str] | None:
    """ "blocks.3.att.r_k" → (3, "att.r_k"); None for a name outside the blocks."""
    found = _LAYER.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


def block_shapes(spec: ModelSpec, layer: int) -> Shapes:
    """One block's tensors under names without "blocks.i.", those that are never used included."""
    norms = ("ln0", "ln1", "ln2") if layer == 0 else ("ln1", "ln2")
    shapes: Shapes = {f"{norm}.{part}": (spec.n_embd,) for norm in norms for part in ("weight", "bias")}
    return shapes | MIXES[spec.arch](spec, layer)


def unused(spec: ModelSpec) -> frozenset[str]:
    """Names that are in some official files and not in others, and never used."""
    return rwkv7_names.UNUSED if spec.arch == "rwkv7" else frozenset()


def expected_shapes(spec: ModelSpec) -> Shapes:
    """Every tensor of a model by official name; the unused ones left out."""
    shapes = _outer_shapes(spec)
    for layer in range(spec.n_layer):
        shapes |= _layer_shapes(spec, layer)
    return shapes


def counted_shapes(spec: ModelSpec) -> Iterator[tuple[str, Shape, int]]:
    """Name, shape, and how many of `expected_shapes` are like it: from the second on, layers are alike, and
    one stands for all. Sums over a model cost the same whatever its depth.
    """
    for name, shape in (_outer_shapes(spec) | _layer_shapes(spec, 0)).items():
        yield name, shape, 1
    if spec.n_layer > 1:
        for name, shape in _layer_shapes(spec, 1).items():
            yield name, shape, spec.n_layer - 1


def _outer_shapes(spec: ModelSpec) -> Shapes:
    """What is in no layer."""
    C = spec.n_embd
    shapes: Shapes = {"emb.weight": (spec.vocab_size, C), "head.weight": (spec.vocab_size, C)}
    return shapes | {"ln_out.weight": (C,), "ln_out.bias": (C,)}


def _layer_shapes(spec: ModelSpec, layer: int) -> Shapes:
    """One block's tensors that are used."""
    named = ((f"blocks.{layer}.{name}", shape) for name, shape in block_shapes(spec, layer).items())
    left_out = unused(spec)
    return {name: shape for name, shape in named if name not in left_out}


def stored_shape(spec: ModelSpec, name: str) -> Shape:
    """The shape under which official files keep a tensor: [1,1,C] for most vectors of the mixes.

    Raises:
        KeyError: a model of this spec has no such tensor.
    """
    found = split_name(name)
    if found is None or found[0] >= spec.n_layer:
        return expected_shapes(spec)[name]
    shape = block_shapes(spec, found[0])[found[1]]
    return (1, 1, *shape) if found[1] in _WIDE[spec.arch] else shape
