"""The tensors of RWKV-5's two mixes, in its three forms.

5.0 has no gate; 5.0 and 5.1 have one decay and one bonus for each head, 5.2 one for each key channel. Some
5.0 files keep the bonus as its logarithm, `time_first` (`ModelSpec.log_bonus`), all others as `time_faaaa`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.rwkv4_names import channel_mix

if TYPE_CHECKING:
    from engine.types import ModelSpec

_MIXED = ("att.time_mix_k", "att.time_mix_v", "att.time_mix_r", "ffn.time_mix_k", "ffn.time_mix_r")
_GATE_MIX = "att.time_mix_g"
WIDE = frozenset({*_MIXED, _GATE_MIX})


def mixes(spec: ModelSpec, layer: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG001  all layers are alike
    """By names without "blocks.i."; numbers per head are [H] or [H,N]."""
    C, gated = spec.n_embd, spec.arch != "rwkv5.0"
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*_MIXED, "att.ln_x.weight", "att.ln_x.bias"), (C,))
    per_head = (spec.n_head, spec.head_size) if spec.arch == "rwkv5.2" else (spec.n_head,)
    shapes["att.time_decay"] = per_head
    shapes["att.time_first" if spec.log_bonus else "att.time_faaaa"] = per_head
    if gated:
        shapes[_GATE_MIX] = (C,)
    for name in ("key", "value", "receptance", "output", *(["gate"] if gated else [])):
        shapes[f"att.{name}.weight"] = (C, C)
    return shapes | channel_mix(spec)
