"""`.safetensors` files: a JSON header whose every number is checked against the file's size before use."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import WeightsCorrupt
from engine.weights.archive import Archive
from engine.weights.mapped import ITEM_BYTES, MappedFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import Tensor

LARGEST_HEADER = 4 << 20  # a 61-layer model's is below 0.3 MB
MOST_AXES = 8
DTYPES = {"F32": "fp32", "F16": "fp16", "BF16": "bf16"}  # of models
LAYOUT_DTYPES = DTYPES | {"I8": "int8", "U8": "uint8"}


class Place(NamedTuple):
    """Where a tensor lies: its dtype (a key of `ITEM_BYTES`), shape, and bytes of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SafetensorsFile:
    """A mapped file whose header has been checked."""

    file: MappedFile
    metadata: dict[str, str]
    places: dict[str, Place]

    def tensor(self, name: str) -> Tensor:
        """A view of the file."""
        place = self.places[name]
        return self.file.tensor(place.start, place.dtype, place.shape)


def _corrupt(path: Path, where: str, expected: str, found: str) -> WeightsCorrupt:
    return WeightsCorrupt(str(path), where[:80], expected, found)


def _only_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a name that stands there twice would hide a tensor."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(name)
        found[name] = value
    return found


def _read_header(file: MappedFile) -> tuple[dict[str, Any], int]:
    """The header and the offset at which the data begins."""
    room, length = file.size - 8, int.from_bytes(file.bytes[:8], "little")
    if not 2 <= length <= min(LARGEST_HEADER, room):
        raise _corrupt(file.path, "byte 0", f"a header within {max(room, 0)} bytes", f"{length} bytes")
    text = bytes(file.bytes[8 : 8 + length])
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_only_once)
    except (ValueError, RecursionError) as error:
        raise _corrupt(file.path, "byte 8", "a JSON header", "other text") from error
    if not isinstance(header, dict):
        raise _corrupt(file.path, "byte 8", "a JSON object", type(header).__name__)
    return header, 8 + length


def _is_count(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and 0 <= x < 1 << 48


def _place(path: Path, name: str, entry: Any, base: int, dtypes: dict[str, str]) -> Place:
    dtype = entry.get("dtype") if isinstance(entry, dict) else None
    if not isinstance(dtype, str) or dtype not in dtypes:
        raise _corrupt(path, name, f"one of {', '.join(dtypes)}", repr(dtype)[:60])
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not all(map(_is_count, shape)):
        raise _corrupt(path, name, "a shape", repr(shape)[:60])
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise _corrupt(path, name, "two offsets", repr(offsets)[:60])
    needed = math.prod(shape) * ITEM_BYTES[dtypes[dtype]]
    if offsets[1] - offsets[0] != needed:
        raise _corrupt(path, name, f"{needed} bytes", f"{offsets[1] - offsets[0]} bytes")
    return Place(dtypes[dtype], tuple(shape), base + offsets[0], base + offsets[1])


def _check_side_by_side(path: Path, places: dict[str, Place], start: int, size: int) -> None:
    """The tensors fill the file: none overlaps another, nothing lies between or after them."""
    end = start
    for name, place in sorted(places.items(), key=lambda each: (each[1].start, each[1].end)):
        if place.start != end:
            raise _corrupt(path, name, f"data from byte {end} on", f"from byte {place.start}")
        end = place.end
    if size != end:
        raise _corrupt(path, f"byte {min(size, end)}", f"{end} bytes", f"{size} bytes")


def _metadata(found: Any) -> dict[str, str]:
    """What somebody wrote about the file; only texts count."""
    items = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in items if isinstance(value, str)}


def read_safetensors(path: Path, dtypes: dict[str, str] = DTYPES) -> SafetensorsFile:
    """Maps the file and checks its header.

    Args:
        dtypes: those that may stand in it, with their keys of `ITEM_BYTES`.

    Raises:
        WeightsCorrupt, DiskFailed.
    """
    file = MappedFile(path)
    header, start = _read_header(file)
    metadata = _metadata(header.pop("__metadata__", None))
    places = {name: _place(path, name, entry, start, dtypes) for name, entry in header.items()}
    _check_side_by_side(path, places, start, file.size)
    return SafetensorsFile(file, metadata, places)


def open_safetensors(path: Path) -> Archive:
    """Maps the file; see `Archive`."""
    found = read_safetensors(path)
    shapes = {name: place.shape for name, place in found.places.items()}
    nbytes = sum(place.end - place.start for place in found.places.values())
    return Archive(
        path,
        shapes,
        found.tensor,
        nbytes,
        lambda: iter(()),
        "safetensors",
        (path,),
        types=dict(Counter(place.dtype for place in found.places.values()).most_common()),
        mapped=True,
    )
