"""From tensor names and shapes to a `ModelSpec`, or to a clear word about what the file is instead."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.errors import UnsupportedFormat, WeightsCorrupt
from engine.models.names import expected_shapes, split_name, unused
from engine.types import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Shapes = dict[str, tuple[int, ...]]
Ranks = tuple[tuple[str, int], ...]


def _all_end(names: Collection[str], *ends: str) -> bool:
    return bool(names) and all(name.endswith(ends) for name in names)


def _any_has(names: Collection[str], *parts: str) -> bool:
    return any(part in name for name in names for part in parts)


# names that only an RWKV time mix has, whoever renamed what is around it
_OURS = ("time_maa", "time_decay", ".r_k", ".k_k", ".x_r", "receptance")
_ADAPTERS = ("lora_A", "lora_B", ".init_lora_", ".miss_block", ".disha", ".bone")
# what a pip conversion adds for its strategy; the first three are no tensors
_PIP = ("_strategy", "_version", "_rescale_layer", ".weight_mx", ".weight_rx")


def _is_hybrid(names: Collection[str]) -> bool:
    """An RWKV time mix in the place of a transformer's attention."""
    return _any_has(names, ".self_attn.") and _any_has(names, *_OURS)


# what a file is told by, in this order; the last four are read
SIGNS: tuple[tuple[str, Callable[[Collection[str]], bool]], ...] = (
    ("tuned-state", lambda names: _all_end(names, ".att.time_state", ".att.ts_state", ".ffn.ts_state")),
    ("adapter", lambda names: _any_has(names, *_ADAPTERS)),
    ("converted-for-pip", lambda names: _any_has(names, *_PIP)),
    ("hybrid", _is_hybrid),
    ("hugging-face", lambda names: any(name.startswith(("model.", "rwkv.")) for name in names)),
    ("rwkv8", lambda names: _any_has(names, ".rosa")),
    ("rwkv7b", lambda names: _any_has(names, ".qkv.")),
    ("rwkv7a", lambda names: _any_has(names, ".ffn.s_emb")),
    ("merged-state", lambda names: _any_has(names, ".att.time_state")),
    ("rwkv7", lambda names: _any_has(names, ".att.r_k", ".att.k_k")),
    ("rwkv6", lambda names: _any_has(names, "time_maa")),
    ("rwkv5", lambda names: _any_has(names, ".att.ln_x.")),
    ("rwkv4", lambda names: _any_has(names, ".att.time_decay")),
)


def family(names: Collection[str]) -> str:
    """The first sign that fits, or "not-rwkv"."""
    return next((hint for hint, fits in SIGNS if fits(names)), "not-rwkv")


class _Reader:
    """Reads dimensions from the shapes of single tensors; all tensors are checked against them afterwards."""

    def __init__(self, path: str, shapes: Shapes) -> None:
        self.path, self.shapes = path, shapes
        self.vocab_size, self.n_embd = self.shape("emb.weight", 2)
        self.n_ffn, _ = self.shape("blocks.0.ffn.key.weight", 2)
        self.n_layer = self._layers()

    def _layers(self) -> int:
        """All of them in a row: one name with a high number must not make a table of a million names."""
        layers = {found[0] for name in self.shapes if (found := split_name(name))}
        missing = next((i for i in range(max(layers, default=0) + 1) if i not in layers), None)
        if missing is not None:
            raise WeightsCorrupt(self.path, f"blocks.{missing}", "a layer", "missing")
        return len(layers)

    def shape(self, name: str, ndim: int) -> tuple[int, ...]:
        """Of a tensor that must be there, with `ndim` dimensions of at least 1."""
        shape = self.shapes.get(name)
        if shape is None or len(shape) != ndim or 0 in shape:
            found = "missing" if shape is None else str(list(shape))
            raise WeightsCorrupt(self.path, name, f"{ndim} dimensions", found)
        return shape

    def per_head(self, name: str) -> tuple[int, int]:
        """(H,N) of a tensor [H,N] with one number for each channel."""
        n_head, head_size = self.shape(name, 2)
        if n_head * head_size != self.n_embd:
            raise WeightsCorrupt(self.path, name, f"{self.n_embd} numbers", f"[{n_head}, {head_size}]")
        return n_head, head_size

    def spec(self, arch: str, head_size: int, ranks: Ranks = (), *, log_bonus: bool = False) -> ModelSpec:
        return ModelSpec(
            arch, self.n_layer, self.n_embd, head_size, self.n_ffn, self.vocab_size, ranks, log_bonus
        )


def _rwkv4(read: _Reader) -> ModelSpec:
    return read.spec("rwkv4", 1)


def _rwkv5(read: _Reader) -> ModelSpec:
    """Which of the three: a gate or none; a decay for each channel or for each head."""
    decay = "blocks.0.att.time_decay"
    log_bonus = "blocks.0.att.time_first" in read.shapes
    gated = "blocks.0.att.gate.weight" in read.shapes
    count = math.prod(read.shapes.get(decay, (0,)))
    if gated and count == read.n_embd:
        return read.spec("rwkv5.2", read.per_head(decay)[1], log_bonus=log_bonus)
    if count == 0 or read.n_embd % count:
        found = str(list(read.shapes.get(decay, ()))) if decay in read.shapes else "missing"
        raise WeightsCorrupt(read.path, decay, f"a divisor of {read.n_embd}", found)
    arch = "rwkv5.1" if gated else "rwkv5.0"
    return read.spec(arch, read.n_embd // count, log_bonus=log_bonus)


def _rwkv6(read: _Reader) -> ModelSpec:
    ranks = {
        "d": read.shape("blocks.0.att.time_decay_w1", 2)[1],
        "m": read.shape("blocks.0.att.time_maa_w2", 3)[1],
    }
    head_size = read.per_head("blocks.0.att.time_faaaa")[1]
    return read.spec("rwkv6", head_size, tuple(sorted(ranks.items())))


def _rwkv7(read: _Reader) -> ModelSpec:
    head_size = read.per_head("blocks.0.att.r_k")[1]
    ranks = {x: read.shape(f"blocks.0.att.{x}1", 2)[1] for x in "wag"}
    ranks["v"] = read.shape("blocks.1.att.v1", 2)[1] if read.n_layer > 1 else 0
    return read.spec("rwkv7", head_size, tuple(sorted(ranks.items())))


# sign → how the dimensions are read; a sign that is not here is refused
FAMILIES: dict[str, Callable[[_Reader], ModelSpec]] = {
    "rwkv4": _rwkv4,
    "rwkv5": _rwkv5,
    "rwkv6": _rwkv6,
    "rwkv7": _rwkv7,
}


def _fits(stored: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """A vector may have further axes of size 1 ([1,1,C], [H,1]); everything else is exact."""
    if len(expected) == 1:
        return math.prod(stored) == expected[0] and sum(n > 1 for n in stored) <= 1
    return stored == expected


def recognise(path: str, shapes: Shapes) -> ModelSpec:
    """The model that a file with these tensors holds.

    Raises:
        UnsupportedFormat: no model that is read; the hint is one of `SIGNS` or "not-rwkv".
        WeightsCorrupt: a tensor of that version is missing, misshaped or unknown; it is named.
    """
    hint = family(shapes)
    if hint not in FAMILIES:
        raise UnsupportedFormat(path, hint)
    spec = FAMILIES[hint](_Reader(path, shapes))
    expected = expected_shapes(spec)
    for name, shape in expected.items():
        stored = shapes.get(name)
        if stored is None or not _fits(stored, shape):
            found = "missing" if stored is None else str(list(stored))
            raise WeightsCorrupt(path, name, str(list(shape)), found)
    for name in shapes.keys() - expected.keys() - unused(spec):
        raise WeightsCorrupt(path, name[:80], "no such tensor", str(list(shapes[name])))
    return spec
