"""The tensors of RWKV-4's two mixes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.types import ModelSpec

_VECTORS = ("att.time_decay", "att.time_first")
WIDE = frozenset({"att.time_mix_k", "att.time_mix_v", "att.time_mix_r", "ffn.time_mix_k", "ffn.time_mix_r"})


def channel_mix(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """The matrices of the channel mix of versions 4, 5 and 6."""
    C, F = spec.n_embd, spec.n_ffn
    return {"ffn.key.weight": (F, C), "ffn.receptance.weight": (C, C), "ffn.value.weight": (C, F)}


def mixes(spec: ModelSpec, layer: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG001  all layers are alike
    """By names without "blocks.i."."""
    C = spec.n_embd
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*_VECTORS, *sorted(WIDE)), (C,))
    for name in ("key", "value", "receptance", "output"):
        shapes[f"att.{name}.weight"] = (C, C)
    return shapes | channel_mix(spec)
