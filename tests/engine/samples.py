"""One tiny random model in every format that can be read: info, fuzz and round trips run over one table.

A maker writes into a folder and returns what is to be opened, a file or a folder. The weights are those of
`tiny.tensors(spec, SEED)`, so the same spec is the same model in every format.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from tests.engine import gguf_file, tiny

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from engine.types import ModelSpec

SEED = 0

LOW_RANK = re.compile(r"blocks\.(\d+)\.att\.([wavg])([012])")
FLA_TOP = {"emb.weight": "model.embeddings.weight", "head.weight": "lm_head.weight"}
FLA_TOP |= {f"ln_out.{part}": f"model.norm.{part}" for part in ("weight", "bias")}
FLA_RENAMES = (
    ("blocks.", "model.layers."),
    (".att.", ".attn."),
    (".ln0.", ".pre_norm."),
    (".ln1.", ".attn_norm."),
    (".ln2.", ".ffn_norm."),
    ("attn.receptance", "attn.r_proj"),
    ("attn.key", "attn.k_proj"),
    ("attn.value", "attn.v_proj"),
    ("attn.output", "attn.o_proj"),
    ("attn.ln_x", "attn.g_norm"),
)
TRANSFORMERS_RENAMES = (
    ("emb.", "embeddings."),
    (".ln0.", ".pre_ln."),
    (".att.", ".attention."),
    (".ffn.", ".feed_forward."),
    ("time_mix_k", "time_mix_key"),
    ("time_mix_v", "time_mix_value"),
    ("time_mix_r", "time_mix_receptance"),
    ("time_mix_g", "time_mix_gate"),
)


def make_pth(folder: Path, spec: ModelSpec) -> Path:
    return tiny.save(folder / "model.pth", tiny.tensors(spec, SEED))


def make_safetensors(folder: Path, spec: ModelSpec) -> Path:
    return tiny.save(folder / "model.safetensors", tiny.tensors(spec, SEED))


def write_folder(
    folder: Path, tensors: dict[str, Tensor], config: dict[str, object], *, shards: int = 1
) -> Path:
    """A Hugging Face folder; with several shards, an index says where a tensor is."""
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {name: x.contiguous() for name, x in tensors.items()}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    names = sorted(tensors)
    files = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    homes = {name: files[i % shards] for i, name in enumerate(names)}
    for file in files:
        save_file({name: tensors[name] for name in names if homes[name] == file}, folder / file)
    index = {"metadata": {"total_size": sum(x.nbytes for x in tensors.values())}, "weight_map": homes}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def make_folder(folder: Path, spec: ModelSpec) -> Path:
    """Official names in two shards."""
    return write_folder(folder, tiny.tensors(spec, SEED), {"model_type": "rwkv"}, shards=2)


def replaced(name: str, renames: tuple[tuple[str, str], ...]) -> str:
    for ours, theirs in renames:
        name = name.replace(ours, theirs)
    return name


def fla_tensors(official: dict[str, Tensor]) -> dict[str, Tensor]:
    """As flash-linear-attention keeps them: low-rank matrices as linear layers, single vectors squeezed."""
    made: dict[str, Tensor] = {}
    for name, x in official.items():
        found = LOW_RANK.fullmatch(name)
        if found and found[2] == "v" and found[1] == "0":
            continue  # block 0 has no value residual there
        if found:
            kind = {"0": "2.bias", "1": "0.weight", "2": "2.weight"}[found[3]]
            x = x.reshape(-1) if found[3] == "0" else x.T
            made[f"model.layers.{found[1]}.attn.{found[2]}_lora.lora.{kind}"] = x
        else:
            wide = ".att.x_" in name  # these keep their [1,1,C]
            made[FLA_TOP.get(name, replaced(name, FLA_RENAMES))] = x if wide or x.ndim < 3 else x.reshape(-1)
    return made


def make_hf_fla(folder: Path, spec: ModelSpec) -> Path:
    config = {"architectures": ["RWKV7ForCausalLM"], "model_type": "rwkv7"}
    return write_folder(folder, fla_tensors(tiny.tensors(spec, SEED)), config, shards=3)


def make_hf_native(folder: Path, spec: ModelSpec) -> Path:
    """Official names behind "model."; block 0 without its value residual."""
    official = tiny.tensors(spec, SEED, with_unused=False)
    made = {name if name == "head.weight" else f"model.{name}": x for name, x in official.items()}
    return write_folder(folder, made, {"architectures": ["Rwkv7ForCausalLM"], "model_type": "rwkv7"})


def transformers_tensors(official: dict[str, Tensor], prefix: str = "rwkv.") -> dict[str, Tensor]:
    """The names of transformers' RWKV-4 and of what was made after it."""
    return {
        name if name == "head.weight" else prefix + replaced(name, TRANSFORMERS_RENAMES): x
        for name, x in official.items()
    }


def make_hf_rwkv(folder: Path, spec: ModelSpec) -> Path:
    """RWKV-4, 5 or 6 as transformers and the code after it keep them."""
    kind = {"rwkv4": "rwkv", "rwkv6": "rwkv6"}.get(spec.arch, "rwkv5")
    return write_folder(folder, transformers_tensors(tiny.tensors(spec, SEED)), {"model_type": kind})


def web_rwkv_tensors(official: dict[str, Tensor]) -> dict[str, Tensor]:
    """What web-rwkv's conversion script makes, in the dtype that is given."""
    turned = re.compile(r"time_(mix|decay)_w[12]|\.[wavg][12]$")
    made: dict[str, Tensor] = {}
    for name, x in official.items():
        new = name.replace("time_faaaa", "time_first").replace("time_maa", "time_mix").lower()
        made[new] = (x.transpose(-1, -2) if turned.search(new) else x).contiguous()
    return made


def make_web_rwkv(folder: Path, spec: ModelSpec) -> Path:
    """In fp32 here: the script's fp16 would make it another model."""
    return tiny.save(folder / "model.st", web_rwkv_tensors(tiny.tensors(spec, SEED)), torch.float32)


def make_gguf(folder: Path, spec: ModelSpec) -> Path:
    """As llama.cpp's converter makes it, in F32."""
    return gguf_file.write(folder / "model.gguf", spec, tiny.tensors(spec, SEED))


# format (a key of READERS or NAMINGS) → maker
SAMPLES: dict[str, Callable[[Path, ModelSpec], Path]] = {
    "pth": make_pth,
    "safetensors": make_safetensors,
    "folder": make_folder,
    "hf-fla": make_hf_fla,
    "hf-native": make_hf_native,
    "hf-rwkv6": make_hf_rwkv,
    "hf-rwkv5": make_hf_rwkv,
    "hf-rwkv4": make_hf_rwkv,
    "web-rwkv": make_web_rwkv,
    "gguf": make_gguf,
}

# format → the versions that it holds; all of them where it is not here
VERSIONS: dict[str, tuple[str, ...]] = {
    "hf-fla": ("rwkv7",),
    "hf-native": ("rwkv7",),
    "hf-rwkv6": ("rwkv6",),
    "hf-rwkv5": ("rwkv5.2", "rwkv5.1", "rwkv5.0"),
    "hf-rwkv4": ("rwkv4",),
    "web-rwkv": ("rwkv7", "rwkv6", "rwkv5.2"),
    "gguf": ("rwkv7", "rwkv6"),
}


def versions(name: str) -> tuple[str, ...]:
    """The architectures that a format holds."""
    return VERSIONS.get(name, tiny.ARCHS)


def spec_of(name: str) -> ModelSpec:
    """A small model that this format can hold: an RWKV-7 where it can."""
    held = versions(name)
    return tiny.spec(arch="rwkv7" if "rwkv7" in held else held[0])
