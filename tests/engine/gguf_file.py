"""A GGUF file as llama.cpp's converter makes it, through the `gguf` package's own writer: nothing of ours.

Follows the rules of llama.cpp's `conversion/rwkv.py`, from official tensors. `kind` is the type of the large
matrices; vectors and what the converter keeps wide are F32.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import gguf
import numpy as np
import torch
from gguf.constants import GGML_QUANT_SIZES
from gguf.constants import GGMLQuantizationType as Type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.types import ModelSpec

RESCALE = 6
WIDE = re.compile(r"time_mix_(first|w[12]|decay_w[12]|lerp_fused)\.weight$")
TOP = {
    "emb.weight": "token_embd.weight",
    "blocks.0.ln0.weight": "token_embd_norm.weight",
    "blocks.0.ln0.bias": "token_embd_norm.bias",
    "ln_out.weight": "output_norm.weight",
    "ln_out.bias": "output_norm.bias",
    "head.weight": "output.weight",
}


def rwkv7_block(layer: int, block: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for letter in "wavg":
        for i in (1, 2):
            # the first block's value residual is a copy of its iclr
            source = "a" if letter == "v" and layer == 0 else letter
            yield f"time_mix_{letter}{i}.weight", block[f"att.{source}{i}"].T
    for name in ("w0", "a0", "v0", "k_k", "k_a"):
        source = "a0" if name == "v0" and layer == 0 else name
        yield f"time_mix_{name}.weight", block[f"att.{source}"].squeeze()
    yield "time_mix_r_k.weight", block["att.r_k"].flatten()
    yield "time_mix_lerp_fused.weight", torch.stack([block[f"att.x_{m}"] for m in "rwkvag"])
    yield "channel_mix_lerp_k.weight", block["ffn.x_k"].squeeze()
    yield "time_mix_output.weight", block["att.output.weight"]
    yield "channel_mix_value.weight", block["ffn.value.weight"]


def rwkv6_block(layer: int, block: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    yield "time_mix_lerp_x.weight", block["att.time_maa_x"].squeeze()
    vectors = [block[f"att.time_maa_{m}"].squeeze()[None] for m in "wkvrg"]
    yield "time_mix_lerp_fused.weight", torch.stack(vectors)[:, None]
    yield "time_mix_w1.weight", block["att.time_maa_w1"].T
    yield "time_mix_w2.weight", block["att.time_maa_w2"].permute(0, 2, 1)
    yield "time_mix_decay.weight", block["att.time_decay"].squeeze()
    yield "time_mix_decay_w1.weight", block["att.time_decay_w1"].T
    yield "time_mix_decay_w2.weight", block["att.time_decay_w2"].T
    yield "time_mix_first.weight", block["att.time_faaaa"]
    yield "time_mix_gate.weight", block["att.gate.weight"]
    yield "channel_mix_receptance.weight", block["ffn.receptance.weight"]
    for m in "kr":
        yield f"channel_mix_lerp_{m}.weight", block[f"ffn.time_maa_{m}"].squeeze()
    yield "time_mix_output.weight", block["att.output.weight"] / 2 ** (layer // RESCALE)
    yield "channel_mix_value.weight", block["ffn.value.weight"] / 2 ** (layer // RESCALE)


def converted(spec: ModelSpec, official: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for ours, theirs in TOP.items():
        yield theirs, official[ours]
    for layer in range(spec.n_layer):
        prefix = f"blocks.{layer}."
        block = {name.removeprefix(prefix): x for name, x in official.items() if name.startswith(prefix)}
        for ours, theirs in {"ln1": "attn_norm", "ln2": "attn_norm_2", "att.ln_x": "time_mix_ln"}.items():
            for part in ("weight", "bias"):
                yield f"blk.{layer}.{theirs}.{part}", block[f"{ours}.{part}"]
        for name in ("key", "value", "receptance"):
            yield f"blk.{layer}.time_mix_{name}.weight", block[f"att.{name}.weight"]
        yield f"blk.{layer}.channel_mix_key.weight", block["ffn.key.weight"]
        made = rwkv7_block(layer, block) if spec.arch == "rwkv7" else rwkv6_block(layer, block)
        for name, x in made:
            yield f"blk.{layer}.{name}", x


def add_dimensions(writer: gguf.GGUFWriter, spec: ModelSpec) -> None:
    writer.add_context_length(1048576)
    writer.add_embedding_length(spec.n_embd)
    writer.add_block_count(spec.n_layer)
    writer.add_layer_norm_eps(1e-5)
    writer.add_wkv_head_size(spec.head_size)
    writer.add_feed_forward_length(spec.n_ffn)
    writer.add_head_count(0)
    if spec.arch == "rwkv6":
        writer.add_rescale_every_n_layers(RESCALE)
        writer.add_time_mix_extra_dim(spec.rank("m"))
        writer.add_time_decay_extra_dim(spec.rank("d"))
    else:
        writer.add_decay_lora_rank(spec.rank("w"))
        writer.add_iclr_lora_rank(spec.rank("a"))
        writer.add_value_residual_mix_lora_rank(spec.rank("v"))
        writer.add_gate_lora_rank(spec.rank("g"))


def write(
    path: Path,
    spec: ModelSpec,
    official: dict[str, Tensor],
    kind: Type = Type.F32,
    tokens: list[bytes] | None = None,
) -> Path:
    """`tokens`: those of a tokenizer of the kind "rwkv"; none by default."""
    writer = gguf.GGUFWriter(path, spec.arch)
    writer.add_name("a random model")
    add_dimensions(writer, spec)
    writer.add_tokenizer_model("rwkv" if tokens else "no_vocab")
    if tokens:
        writer.add_token_list(tokens)
    for name, x in converted(spec, official):
        data = np.ascontiguousarray(x.float().numpy())
        type_ = Type.F32 if data.ndim == 1 or WIDE.search(name) else kind
        if data.shape[-1] % GGML_QUANT_SIZES[type_][0]:
            type_ = Type.F16  # rows that are not of whole blocks
        writer.add_tensor(name, gguf.quants.quantize(data, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
