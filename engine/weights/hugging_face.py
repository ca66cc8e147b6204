"""How the models of Hugging Face repositories name their tensors, told from names and shapes alone.

Read from: transformers 5.23 `models/rwkv` (v4) and its conversion script, which keeps every value as it is
and halves the residual stream only in memory (`rescale_every`: a model that was saved from there after use
has halved weights, and nothing in the file says so); the conversion scripts of
BBuf/RWKV-World-HF-Tokenizer (v5, v6: made RWKV/v5-Eagle-7B-HF and RWKV/v6-Finch-*-HF); three of RWKV-7 for
transformers, which differ in the prefix alone or rename the blocks' parts (rwkv-rs/transformers-rwkv:
"model."; huggingface/transformers models/rwkv7: "rwkv7."; chinoll/transformers: "rwkv7.", v4's part names);
flash-linear-attention `utils/convert_from_rwkv7.py` and `fla/models/rwkv7` 0.6.0, with the older "x_x" of
six rows that its `load_state_dict` still reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.weights.renaming import Source, renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.weights.archive import Archive

    Shapes = dict[str, tuple[int, ...]]

_PREFIXES = ("model.", "rwkv.", "rwkv7.")

# parts of names, between their dots; what is not here keeps its name
_PARTS = {
    "embeddings": "emb",
    "attention": "att",
    "feed_forward": "ffn",
    "pre_ln": "ln0",
    "time_mix_key": "time_mix_k",
    "time_mix_value": "time_mix_v",
    "time_mix_receptance": "time_mix_r",
    "time_mix_gate": "time_mix_g",
}

_FLA_TOP = {
    "model.embeddings.weight": "emb.weight",
    "lm_head.weight": "head.weight",
    "model.norm.weight": "ln_out.weight",
    "model.norm.bias": "ln_out.bias",
}
# fla's parts of a layer's names → the official ones; ffn keeps its key and value
_FLA_PARTS = {
    "attn": "att",
    "pre_norm": "ln0",
    "attn_norm": "ln1",
    "ffn_norm": "ln2",
    "attn.r_proj": "att.receptance",
    "attn.k_proj": "att.key",
    "attn.v_proj": "att.value",
    "attn.o_proj": "att.output",
    "attn.g_norm": "att.ln_x",
}
_FLA_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
# linear layers [rank,C] and [C,rank], the second with a bias; officially [C,rank], [rank,C] and [1,1,C]
_FLA_LOW_RANK = re.compile(r"attn\.([wavg])_lora\.lora\.(0\.weight|2\.weight|2\.bias)")
_FLA_LOW_RANK_PARTS = {"0.weight": "1", "2.weight": "2", "2.bias": "0"}
_FLA_MIXES = "rwkvag"  # the rows of the older "attn.x_x" [6,C]


def _plain(name: str) -> str:
    """The official name of a tensor that keeps the official structure."""
    prefix = next((each for each in _PREFIXES if name.startswith(each)), "")
    return ".".join(_PARTS.get(part, part) for part in name.removeprefix(prefix).split("."))


def _plain_sources(names: Iterable[str]) -> dict[str, Source]:
    return {_plain(name): Source(name) for name in names}


def _fla_layer(layer: str, rest: str, name: str) -> dict[str, Source]:
    """The official tensors that one stored tensor of a layer gives."""
    block = f"blocks.{layer}."
    if rest == "attn.x_x":
        return {f"{block}att.x_{m}": Source(name, row=i) for i, m in enumerate(_FLA_MIXES)}
    if found := _FLA_LOW_RANK.fullmatch(rest):
        part = _FLA_LOW_RANK_PARTS[found[2]]
        return {f"{block}att.{found[1]}{part}": Source(name, turned=part != "0")}
    head, _, tail = rest.rpartition(".")
    return {f"{block}{_FLA_PARTS.get(head, head)}.{tail}": Source(name)}


def _fla_sources(names: Iterable[str]) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for name in names:
        found = _FLA_LAYER.fullmatch(name)
        sources |= _fla_layer(found[1], found[2], name) if found else {_FLA_TOP.get(name, name): Source(name)}
    return sources


def official_weight(name: str) -> str:
    """The official name of one tensor of an adapter, whatever stands before it; other names stay.

    Not for tensors that are turned: an adapter changes a weight in the orientation that both have.
    """
    for prefix in ("base_model.model.", "_orig_mod."):
        name = name.removeprefix(prefix)
    if found := _FLA_LAYER.fullmatch(name):
        sources = _fla_layer(found[1], found[2], name)
        return next((each for each, source in sources.items() if source == Source(name)), name)
    return _FLA_TOP.get(name, _plain(name))


def _has(shapes: Shapes, name: str) -> bool:
    """Whether the first block's time mix has this tensor, under any of the plain structures' names."""
    return any(
        f"{prefix}blocks.0.{part}.{name}" in shapes for prefix in _PREFIXES for part in ("att", "attention")
    )


def is_fla(shapes: Shapes) -> bool:
    return "model.layers.0.attn.r_proj.weight" in shapes and "model.layers.0.attn.k_k" in shapes


def is_native(shapes: Shapes) -> bool:
    return _has(shapes, "r_k")


def is_rwkv6(shapes: Shapes) -> bool:
    return _has(shapes, "time_maa_x")


def is_rwkv5(shapes: Shapes) -> bool:
    return _has(shapes, "time_decay") and _has(shapes, "ln_x.weight") and not is_rwkv6(shapes)


def is_rwkv4(shapes: Shapes) -> bool:
    return _has(shapes, "time_decay") and not _has(shapes, "ln_x.weight")


def from_fla(archive: Archive) -> Archive:
    """flash-linear-attention's `RWKV7ForCausalLM`; block 0 has no value residual there."""
    return renamed(archive, _fla_sources(archive.shapes), "hf-fla")


def plain(format: str) -> Callable[[Archive], Archive]:  # noqa: A002  the archive's field
    """A translation of the layouts that keep every tensor's shape and change names alone."""
    return lambda archive: renamed(archive, _plain_sources(archive.shapes), format)
