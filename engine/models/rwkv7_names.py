"""The tensors of RWKV-7's two mixes.

Ranks go by the letter of what they make: w (decay), a (iclr), v (value residual), g (gate). Low-rank matrices
are [in,rank] and [rank,out], unlike `.weight` matrices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.types import ModelSpec

LOG_W_SCALE = -0.606531  # −exp(−1/2), with the reference's digits: log_w = LOG_W_SCALE · σ(decay_logit)
MIXED = "rwkvag"  # order of the six token-shift mixtures

WIDE = frozenset(
    {f"att.x_{m}" for m in MIXED} | {"att.w0", "att.a0", "att.v0", "att.k_k", "att.k_a", "ffn.x_k"}
)
# present in some official files, absent in others, and never used: block 0 has no earlier value to mix with
UNUSED = frozenset(f"blocks.0.att.v{i}" for i in range(3))


def mixes(spec: ModelSpec, layer: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG001  all layers are alike
    """By names without "blocks.i."; the first layer's unused ones included."""
    C, F = spec.n_embd, spec.n_ffn
    names = (*sorted(WIDE), "att.ln_x.weight", "att.ln_x.bias")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names, (C,))
    shapes["att.r_k"] = (spec.n_head, spec.head_size)
    for letter in "wavg":
        rank = spec.rank(letter)
        shapes[f"att.{letter}1"], shapes[f"att.{letter}2"] = (C, rank), (rank, C)
    for name in ("receptance", "key", "value", "output"):
        shapes[f"att.{name}.weight"] = (C, C)
    shapes["ffn.key.weight"], shapes["ffn.value.weight"] = (F, C), (C, F)
    return shapes
