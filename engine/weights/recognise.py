"""From tensor names and shapes to a `ModelSpec`, or to a clear word about what the file is instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import UnsupportedFormat, WeightsCorrupt
from engine.models.rwkv7_names import UNUSED, expected_shapes, split_name
from engine.types import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Shapes = dict[str, tuple[int, ...]]


def _all_end(names: Collection[str], *ends: str) -> bool:
    return bool(names) and all(name.endswith(ends) for name in names)


def _any_has(names: Collection[str], part: str) -> bool:
    return any(part in name for name in names)


# what a file is told by, in this order; "rwkv7" alone is read
SIGNS: tuple[tuple[str, Callable[[Collection[str]], bool]], ...] = (
    ("tuned-state", lambda names: _all_end(names, ".att.time_state")),
    ("adapter", lambda names: _any_has(names, "lora_A") or _any_has(names, ".init_lora_")),
    ("hugging-face", lambda names: any(name.startswith(("model.", "rwkv.")) for name in names)),
    ("converted-for-pip", lambda names: "_strategy" in names or "_version" in names),
    ("rwkv7b", lambda names: _any_has(names, ".qkv.")),
    ("rwkv7a", lambda names: _any_has(names, ".ffn.s_emb")),
    ("rwkv7", lambda names: _any_has(names, ".att.r_k") or _any_has(names, ".att.k_k")),
    ("rwkv6", lambda names: _any_has(names, "time_maa")),
    ("rwkv5", lambda names: _any_has(names, ".att.ln_x.")),
    ("rwkv4", lambda names: _any_has(names, ".att.time_decay")),
)


def family(names: Collection[str]) -> str:
    """The first sign that fits, or "not-rwkv"."""
    return next((hint for hint, fits in SIGNS if fits(names)), "not-rwkv")


def plain_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A vector stored as [1,1,C] or [1,C] is a vector."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _shape_of(path: str, shapes: Shapes, name: str, ndim: int) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None or len(shape) != ndim or 0 in shape:
        found = "missing" if shape is None else str(list(shape))
        raise WeightsCorrupt(path, name, f"{ndim} dimensions", found)
    return shape


def _count_layers(shapes: Shapes) -> int:
    layers = [found[0] for name in shapes if (found := split_name(name))]
    return 1 + max(layers, default=0)


def _spec(path: str, shapes: Shapes) -> ModelSpec:
    """Read from a few tensors; all of them are checked against it afterwards."""
    vocab_size, n_embd = _shape_of(path, shapes, "emb.weight", 2)
    n_head, head_size = _shape_of(path, shapes, "blocks.0.att.r_k", 2)
    if n_head * head_size != n_embd:
        raise WeightsCorrupt(path, "blocks.0.att.r_k", f"{n_embd} numbers", f"[{n_head}, {head_size}]")
    n_ffn, _ = _shape_of(path, shapes, "blocks.0.ffn.key.weight", 2)
    n_layer = _count_layers(shapes)
    ranks = {x: _shape_of(path, shapes, f"blocks.0.att.{x}1", 2)[1] for x in "wag"}
    ranks["v"] = _shape_of(path, shapes, "blocks.1.att.v1", 2)[1] if n_layer > 1 else 0
    return ModelSpec("rwkv7", n_layer, n_embd, head_size, n_ffn, vocab_size, tuple(sorted(ranks.items())))


def _fits(stored: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    if len(expected) == 1:
        return plain_shape(stored) == expected
    return stored == expected


def recognise(path: str, shapes: Shapes) -> ModelSpec:
    """The model that a file with these tensors holds.

    Raises:
        UnsupportedFormat: another family; the hint is one of `SIGNS` or "not-rwkv".
        WeightsCorrupt: RWKV-7 with a tensor missing, misshaped or unknown, which it names.
    """
    hint = family(shapes)
    if hint != "rwkv7":
        raise UnsupportedFormat(path, hint)
    spec = _spec(path, shapes)
    expected = expected_shapes(spec)
    for name, shape in expected.items():
        stored = shapes.get(name)
        if stored is None or not _fits(stored, shape):
            found = "missing" if stored is None else str(list(stored))
            raise WeightsCorrupt(path, name, str(list(shape)), found)
    for name in shapes.keys() - expected.keys() - UNUSED:
        raise WeightsCorrupt(path, name[:80], "no such tensor", str(list(shapes[name])))
    return spec
