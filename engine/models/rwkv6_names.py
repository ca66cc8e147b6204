"""The tensors of RWKV-6's two mixes.

Ranks: "m" of the five data-dependent mixtures (in the order w, k, v, r, g), "d" of the decay. Low-rank
matrices are [in,rank] and [rank,out], unlike `.weight` matrices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.rwkv4_names import channel_mix

if TYPE_CHECKING:
    from engine.types import ModelSpec

WIDE = frozenset(
    {f"att.time_maa_{m}" for m in "xwkvrg"} | {"att.time_decay", "ffn.time_maa_k", "ffn.time_maa_r"}
)


def mixes(spec: ModelSpec, layer: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG001  all layers are alike
    """By names without "blocks.i."."""
    C, mix, decay = spec.n_embd, spec.rank("m"), spec.rank("d")
    names = (*sorted(WIDE), "att.ln_x.weight", "att.ln_x.bias")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names, (C,))
    shapes["att.time_maa_w1"], shapes["att.time_maa_w2"] = (C, 5 * mix), (5, mix, C)
    shapes["att.time_decay_w1"], shapes["att.time_decay_w2"] = (C, decay), (decay, C)
    shapes["att.time_faaaa"] = (spec.n_head, spec.head_size)
    for name in ("key", "value", "receptance", "gate", "output"):
        shapes[f"att.{name}.weight"] = (C, C)
    return shapes | channel_mix(spec)
