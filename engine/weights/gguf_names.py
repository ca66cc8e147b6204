"""What llama.cpp calls the tensors of RWKV-6 and RWKV-7, and how it turns them: one table for both ways.

Read from llama.cpp's `conversion/rwkv.py` and `src/models/rwkv{6,7}*.cpp`. Shapes are slowest axis first, as
torch has them; the file itself has them the other way round. Low-rank matrices are [out,in] there, so both
are transposed; vectors have one axis; the token-shift vectors of a time mix stand in one tensor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

# how a tensor of the file stands to the official one:
#   same; wide: [C] for [1,1,C]; turned: its last two axes swapped; heads: [C] for [H,N];
#   fused: [n,1,1,C] for n vectors [1,1,C]; halved: divided by 2 once for every so many layers before it
How = Literal["same", "wide", "turned", "heads", "fused", "halved"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One tensor of a file: its name, the official one (of each part, if fused), and how it is kept."""

    theirs: str
    ours: tuple[str, ...]
    how: How = "same"


def _rules(how: How, names: dict[str, str]) -> tuple[Rule, ...]:
    return tuple(Rule(f"{theirs}.weight", (ours,), how) for theirs, ours in names.items())


def _norm(theirs: str, ours: str) -> tuple[Rule, ...]:
    return tuple(Rule(f"{theirs}.{part}", (f"{ours}.{part}",)) for part in ("weight", "bias"))


TOP: tuple[Rule, ...] = (
    Rule("token_embd.weight", ("emb.weight",)),
    *_norm("token_embd_norm", "blocks.0.ln0"),
    *_norm("output_norm", "ln_out"),
    Rule("output.weight", ("head.weight",)),
)

_LINEAR = {f"time_mix_{name}": f"att.{name}.weight" for name in ("key", "value", "receptance")}
_BLOCK: tuple[Rule, ...] = (
    *_norm("attn_norm", "ln1"),
    *_norm("attn_norm_2", "ln2"),
    *_norm("time_mix_ln", "att.ln_x"),
    *_rules("same", {**_LINEAR, "channel_mix_key": "ffn.key.weight"}),
)
_OUT = {"time_mix_output": "att.output.weight", "channel_mix_value": "ffn.value.weight"}

# architecture → the tensors of a block, by names without "blk.i." and "blocks.i."
BLOCKS: dict[str, tuple[Rule, ...]] = {
    "rwkv6": (
        *_BLOCK,
        *_rules("halved", _OUT),
        *_rules(
            "same", {"time_mix_gate": "att.gate.weight", "channel_mix_receptance": "ffn.receptance.weight"}
        ),
        *_rules("same", {"time_mix_first": "att.time_faaaa"}),
        *_rules("wide", {"time_mix_lerp_x": "att.time_maa_x", "time_mix_decay": "att.time_decay"}),
        *_rules("wide", {f"channel_mix_lerp_{m}": f"ffn.time_maa_{m}" for m in "kr"}),
        *_rules("turned", {f"time_mix_w{i}": f"att.time_maa_w{i}" for i in (1, 2)}),
        *_rules("turned", {f"time_mix_decay_w{i}": f"att.time_decay_w{i}" for i in (1, 2)}),
        Rule("time_mix_lerp_fused.weight", tuple(f"att.time_maa_{m}" for m in "wkvrg"), "fused"),
    ),
    "rwkv7": (
        *_BLOCK,
        *_rules("same", _OUT),
        *_rules("wide", {f"time_mix_{x}": f"att.{x}" for x in ("w0", "a0", "v0", "k_k", "k_a")}),
        *_rules("wide", {"channel_mix_lerp_k": "ffn.x_k"}),
        *_rules("turned", {f"time_mix_{x}{i}": f"att.{x}{i}" for x in "wavg" for i in (1, 2)}),
        *_rules("heads", {"time_mix_r_k": "att.r_k"}),
        Rule("time_mix_lerp_fused.weight", tuple(f"att.x_{m}" for m in "rwkvag"), "fused"),
    ),
}

# older files have RWKV-6's five vectors apart
_APART: dict[str, tuple[Rule, ...]] = {
    "rwkv6": _rules("wide", {f"time_mix_lerp_{m}": f"att.time_maa_{m}" for m in "wkvrg"}),
    "rwkv7": (),
}

_LAYER = re.compile(r"blk\.(0|[1-9][0-9]{0,3})\.(.+)")
_BY_NAME = {arch: {rule.theirs: rule for rule in (*BLOCKS[arch], *_APART[arch])} for arch in BLOCKS}
_TOP_BY_NAME = {rule.theirs: rule for rule in TOP}


def find(arch: str, name: str) -> tuple[Rule, int] | None:
    """The rule of a file's tensor with official names in full, and its layer; None for an unknown name."""
    if name in _TOP_BY_NAME:
        return _TOP_BY_NAME[name], 0
    found = _LAYER.fullmatch(name)
    rule = _BY_NAME[arch].get(found[2]) if found else None
    if found is None or rule is None:
        return None
    return of_layer(rule, int(found[1])), int(found[1])


def of_layer(rule: Rule, layer: int) -> Rule:
    """A block's rule with names in full."""
    ours = tuple(f"blocks.{layer}.{name}" for name in rule.ours)
    return Rule(f"blk.{layer}.{rule.theirs}", ours, rule.how)
