"""Writes RWKV-6 and RWKV-7 as llama.cpp's own converter does: the header, then one tensor after the other.

Which numbers keep 32 or 16 bits is as in its converter and its quantiser: vectors, norms and what the time
mix computes its data-dependent vectors from are fp32 always; in a Q8_0 file the other low-rank matrices, and
rows that are not of whole blocks, are fp16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.models.rwkv7_names import UNUSED
from engine.weights.gguf_names import BLOCKS, TOP, of_layer
from engine.weights.gguf_pairs import ALIGNMENT, HALVED_EVERY, header
from engine.weights.outgoing import cast, pieces
from engine.weights.place import check_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.weights.gguf_names import Rule
    from engine.weights.outgoing import Outgoing

ARCHS = tuple(BLOCKS)
DTYPES = ("stored", "fp32", "fp16", "bf16", "q8_0")
_TYPE_OF = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_DTYPE_OF = {name: dtype for dtype, name in _TYPE_OF.items()}
_WANTED = {"fp32": "F32", "fp16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}

# never anything but fp32, though they are matrices
_ALWAYS_WIDE = ("time_mix_first", "time_mix_w1", "time_mix_w2", "time_mix_decay_w1", "time_mix_decay_w2")
_ALWAYS_WIDE += ("time_mix_lerp_fused",)
# never quantised
_LOW_RANK = tuple(f"time_mix_{letter}{i}" for letter in "avg" for i in (1, 2))
# block 0's value residual → what stands in its place
IN_PLACE = {name: name.replace(".v", ".a") for name in UNUSED}
_BLOCK, _BLOCK_BYTES = 32, 34  # Q8_0: numbers and bytes
_ROWS = 1 << 20  # numbers that are quantised at a time


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of the file.

    Attributes:
        ours: the official tensors that it is made of.
        shape: slowest axis first.
        type: a name in the format's own words.
    """

    rule: Rule
    ours: tuple[str, ...]
    shape: tuple[int, ...]
    type: str
    layer: int = 0

    @property
    def nbytes(self) -> int:
        count = math.prod(self.shape)
        return (
            count // _BLOCK * _BLOCK_BYTES if self.type == "Q8_0" else count * _DTYPE_OF[self.type].itemsize
        )


def write_gguf(path: Path, model: Outgoing) -> Iterator[int]:
    """Yields the bytes of `model`'s values that are written.

    Raises:
        WeightsCorrupt: fp16 has no such numbers.  DiskFull.
    """
    wanted = _wanted(model)
    entries = _entries(model, wanted)
    start = header(
        model, wanted, [(each.rule.theirs, each.shape, each.type, each.nbytes) for each in entries]
    )
    needed = len(start) + sum(each.nbytes + ALIGNMENT for each in entries)
    check_place(path, needed, overwrite=True)
    done, whole = 0, sum(math.prod(each.shape) for each in entries)
    with path.open("wb") as file:
        file.write(start)
        for entry in entries:
            for piece in _data(model, entry):
                file.write(piece)
            file.write(bytes(-entry.nbytes % ALIGNMENT))
            done += math.prod(entry.shape)
            yield model.nbytes * done // whole


def _wanted(model: Outgoing) -> str:
    """The type that was asked for; "stored" is that of the large matrices."""
    return _WANTED.get(model.dtype) or _TYPE_OF[model.dtypes["blocks.0.att.key.weight"]]


def _entries(model: Outgoing, wanted: str) -> list[Entry]:
    found = [_entry(model, rule, 0, wanted) for rule in TOP]
    for layer in range(model.spec.n_layer):
        rules = (of_layer(rule, layer) for rule in BLOCKS[model.spec.arch])
        found += [_entry(model, rule, layer, wanted) for rule in rules]
    return found


def _entry(model: Outgoing, rule: Rule, layer: int, wanted: str) -> Entry:
    # llama.cpp wants a value residual in block 0, which has none, in the shape of the iclr's, and ignores it
    ours = tuple(IN_PLACE.get(name, name) for name in rule.ours)
    shape = _shape(model.shapes[ours[0]], rule)
    return Entry(rule, ours, shape, _type(rule.theirs, shape, wanted), layer)


def _shape(official: tuple[int, ...], rule: Rule) -> tuple[int, ...]:
    """The shape in the file of a tensor with this official shape."""
    if rule.how == "turned":
        return (*official[:-2], official[-1], official[-2])
    if rule.how == "fused":
        return (len(rule.ours), 1, 1, math.prod(official))
    return (math.prod(official),) if rule.how in ("wide", "heads") else official


def _type(name: str, shape: tuple[int, ...], wanted: str) -> str:
    """What a tensor is kept as in a file of `wanted`."""
    part = name.split(".")[-2]
    if len(shape) == 1 or part in _ALWAYS_WIDE:
        return "F32"
    narrow = part in _LOW_RANK or shape[-1] % _BLOCK
    return "F16" if wanted == "Q8_0" and narrow else wanted


def _data(model: Outgoing, entry: Entry) -> Iterator[bytes | memoryview]:
    """The bytes of one tensor."""
    x = _turned(model, entry)
    if entry.type == "Q8_0":
        yield from _quantised(x)
    else:
        yield from pieces(cast(x, _DTYPE_OF[entry.type], model.path, entry.ours[0]).reshape(entry.shape))


def _turned(model: Outgoing, entry: Entry) -> Tensor:
    """The tensor in the file's shape and orientation."""
    if entry.rule.how == "fused":
        return torch.stack([model.get(name).reshape(-1).float() for name in entry.ours])
    x = model.get(entry.ours[0]).reshape(model.shapes[entry.ours[0]])
    if entry.rule.how == "turned":
        return x.transpose(-1, -2)
    halvings = entry.layer // HALVED_EVERY if entry.rule.how == "halved" else 0
    return x.float() / 2**halvings if halvings else x


def _quantised(x: Tensor) -> Iterator[bytes]:
    """Q8_0 blocks of a matrix, some rows at a time."""
    from gguf import quants
    from gguf.constants import GGMLQuantizationType

    for rows in x.split(max(1, _ROWS // x.shape[-1])):
        yield quants.quantize(rows.float().numpy(), GGMLQuantizationType.Q8_0).tobytes()
