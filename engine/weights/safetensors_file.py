"""`.safetensors` files: a JSON header whose every number is checked against the file's size before use."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from engine.errors import WeightsCorrupt
from engine.weights.archive import Archive

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

LARGEST_HEADER = 32 << 20
_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


def _corrupt(path: Path, where: str, expected: str, found: str) -> WeightsCorrupt:
    return WeightsCorrupt(str(path), where, expected, found)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header and the offset at which the data begins."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise _corrupt(path, "byte 0", f"a header within {max(size - 8, 0)} bytes", f"{length} bytes")
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, "byte 8", "a JSON header", "other text") from error
    if not isinstance(header, dict):
        raise _corrupt(path, "byte 8", "a JSON object", type(header).__name__)
    header.pop("__metadata__", None)
    return header, 8 + length


def _is_count(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and 0 <= x < 1 << 62


def _check_entry(path: Path, name: str, entry: Any) -> tuple[tuple[int, ...], int]:
    """Shape and end offset of one tensor."""
    dtype = entry.get("dtype") if isinstance(entry, dict) else None
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise _corrupt(path, name, f"one of {', '.join(_BYTES)}", repr(dtype)[:60])
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not all(map(_is_count, shape)):
        raise _corrupt(path, name, "a shape", repr(shape)[:60])
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise _corrupt(path, name, "two offsets", repr(offsets)[:60])
    needed = math.prod(shape) * _BYTES[dtype]
    if offsets[1] - offsets[0] != needed:
        raise _corrupt(path, name, f"{needed} bytes", f"{offsets[1] - offsets[0]} bytes")
    return tuple(shape), offsets[1]


def open_safetensors(path: Path) -> Archive:
    """Maps the file; see `Archive`."""
    header, start = _read_header(path)
    entries = {name: _check_entry(path, name, entry) for name, entry in header.items()}
    end, size = start + max((end for _, end in entries.values()), default=0), path.stat().st_size
    if size != end:
        raise _corrupt(path, f"byte {min(size, end)}", f"{end} bytes", f"{size} bytes")
    try:
        mapped = safe_open(str(path), framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise _corrupt(path, "the header", "tensors side by side", str(error)[:60]) from error

    def get(name: str) -> Tensor:
        return mapped.get_tensor(name)

    shapes = {name: shape for name, (shape, _) in entries.items()}
    return Archive(path, shapes, get, size - start, lambda: iter(()), "safetensors", (path,))
