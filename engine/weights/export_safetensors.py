"""Writes safetensors: the header first, then one tensor after the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

from engine.weights.outgoing import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.weights.outgoing import Outgoing

_CODES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"} | {
    torch.int8: "I8",  # these two in converted layouts only
    torch.uint8: "U8",
}
_ALIGNED = 64  # the data begins at a multiple of this: the format asks for 8, vector instructions for more

Entry = tuple[str, tuple[int, ...], torch.dtype]


def _header(entries: list[Entry], metadata: dict[str, str]) -> bytes:
    table: dict[str, object] = {"__metadata__": metadata}
    place = 0
    for name, shape, dtype in entries:
        end = place + torch.Size(shape).numel() * dtype.itemsize
        table[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(table, separators=(",", ":")).encode()
    return text + b" " * (-(8 + len(text)) % _ALIGNED)  # 8 bytes of length come before


def write_tensors(
    path: Path, entries: list[Entry], get: Callable[[str], Tensor], metadata: dict[str, str] | None = None
) -> Iterator[int]:
    """`entries` in their order; yields the bytes of values written so far.

    Args:
        get: the tensor of an entry's name, in its shape and dtype, contiguous; asked for in order.
        metadata: texts for the header; None says only that torch wrote it, as other programs expect.
    """
    done, header = 0, _header(entries, {"format": "pt"} if metadata is None else metadata)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name, _, _ in entries:
            for piece in pieces(get(name)):
                file.write(piece)
                done += len(piece)
                yield done


def write_safetensors(path: Path, model: Outgoing) -> Iterator[int]:
    """Official names and shapes."""
    entries = [(name, shape, model.dtypes[name]) for name, shape in model.shapes.items()]
    return write_tensors(path, entries, model.value)
