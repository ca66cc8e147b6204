"""GGUF files of RWKV-6 and RWKV-7, read under official names: mapped, and dequantised tensor by tensor."""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UnsupportedFormat, WeightsCorrupt
from engine.models.rwkv7_names import UNUSED
from engine.weights.archive import Archive
from engine.weights.gguf_header import read_header
from engine.weights.gguf_names import BLOCKS, Rule, find
from engine.weights.gguf_tokens import tokenizer_of
from engine.weights.gguf_types import map_file, type_name, values

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.weights.gguf_header import Header, TensorInfo

HYBRIDS = ("arwkv7", "rwkv6qwen2")  # transformers with an RWKV time mix
MOST_HALVINGS = 64
LONGEST_NOTE = 200


@dataclass(frozen=True, slots=True)
class Source:
    """Where an official tensor comes from.

    Attributes:
        shape: the official one.
        part: which vector of a fused tensor.
        halvings: how often it was divided by 2.
    """

    info: TensorInfo
    rule: Rule
    shape: tuple[int, ...]
    part: int = 0
    halvings: int = 0

    def tensor(self, mapped: Tensor) -> Tensor:
        """The official tensor; a view of the file where nothing has to be computed."""
        x = values(mapped, self.info)
        if self.rule.how == "turned":
            return x.transpose(-1, -2)
        if self.rule.how == "fused":
            x = x.reshape(len(self.rule.ours), -1)[self.part]
        x = x.reshape(self.shape)
        return x * 2.0**self.halvings if self.halvings else x


def open_gguf(path: Path) -> Archive:
    """Maps the file; see `Archive`.

    Raises:
        UnsupportedFormat: another architecture, a part of a model, or numbers that nobody dequantises.
        WeightsCorrupt.
    """
    header = read_header(path)
    arch = _check_kind(header)
    notes = _notes(header)
    sources = _sources(header, arch)
    mapped = functools.cache(lambda: map_file(path, header.size))  # when the first value is asked for

    def get(name: str) -> Tensor:
        return sources[name].tensor(mapped())

    shapes = {name: source.shape for name, source in sources.items()}
    nbytes = sum(info.nbytes for info in header.tensors.values())
    types = Counter(type_name(info.type) for info in header.tensors.values())
    return Archive(
        path,
        shapes,
        get,
        nbytes,
        lambda: iter(()),
        "gguf",
        (path,),
        notes,
        types=dict(types.most_common()),
    )


def _check_kind(header: Header) -> str:
    """The architecture, a key of `BLOCKS`."""
    arch, path = header.text("general.architecture"), str(header.path)
    if arch in HYBRIDS:
        raise UnsupportedFormat(path, "hybrid")
    if arch not in BLOCKS:
        raise UnsupportedFormat(path, "gguf-other")
    if header.text("general.type") == "adapter":
        raise UnsupportedFormat(path, "adapter")
    if header.number("split.count") > 1:
        raise UnsupportedFormat(path, "gguf-split")
    return arch


def _notes(header: Header) -> dict[str, str]:
    """For people: whose tokenizer, and what the file calls the model."""
    notes = {"tokenizer": tokenizer_of(header)}
    if name := header.text("general.name"):
        notes["name"] = name[:LONGEST_NOTE]
    return notes


def _sources(header: Header, arch: str) -> dict[str, Source]:
    """By official name; what has no official name keeps its own, for `recognise` to name it."""
    found: dict[str, Source] = {}
    for name, info in header.tensors.items():
        rule, layer = find(arch, name) or (None, 0)
        if rule is None:
            found[name] = Source(info, Rule(name, (name,)), info.shape)
        elif rule.ours[0] not in UNUSED:  # a copy of something else: llama.cpp wants the tensor there
            halvings = _halvings(header, arch, layer) if rule.how == "halved" else 0
            shape = _official_shape(header, arch, name, info, rule)
            for part, ours in enumerate(rule.ours):
                found[ours] = Source(info, rule, shape, part, halvings)
    return found


def _halvings(header: Header, arch: str, layer: int) -> int:
    every = header.number(f"{arch}.rescale_every_n_layers")
    found = layer // every if every > 0 else 0
    if found > MOST_HALVINGS:
        raise WeightsCorrupt(str(header.path), f"{arch}.rescale_every_n_layers", "6", str(every))
    return found


def _official_shape(header: Header, arch: str, name: str, info: TensorInfo, rule: Rule) -> tuple[int, ...]:
    """The shape that the official tensor (each, if they are fused) has by the file's own."""
    shape, count, width, parts = info.shape, math.prod(info.shape), info.shape[-1], len(rule.ours)
    if rule.how in ("same", "halved"):
        return shape
    if rule.how == "turned" and len(shape) > 1:
        return (*shape[:-2], shape[-1], shape[-2])
    if rule.how == "wide" and count == width:
        return (1, 1, count)
    if rule.how == "fused" and count == parts * width:
        return (1, 1, width)
    head_size = header.number(f"{arch}.wkv.head_size")
    if rule.how == "heads" and head_size > 0 and count % head_size == 0:
        return (count // head_size, head_size)
    raise WeightsCorrupt(str(header.path), name, f"the shape of {rule.ours[0]}", str(list(shape)))
