"""The header of a state file, read from a file of which nothing is known: it may be hostile. No torch.

A state file is a safetensors file: 8 bytes with the header's length, the header as JSON, then the tensors.
"""

from __future__ import annotations

import json
import math
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import StateCorrupt

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_HEADER = 16 << 20
MOST_TENSORS = 64
LARGEST_STATE = 4 << 30
Table = dict[str, tuple[str, tuple[int, ...], int, int]]
WIDTHS = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}  # bytes of a number


@dataclass(frozen=True, slots=True)
class Header:
    """What a state file says of itself; sizes are right, nothing else is checked.

    Attributes:
        metadata: its words, by name.
        tensors: by name, (dtype code, shape, begin, end), one after the other and from 0 on.
        begin: where the tensors' bytes begin in the file.  nbytes: how many there are.
    """

    metadata: dict[str, str]
    tensors: Table
    begin: int
    nbytes: int


def read_header(path: Path) -> Header:
    """Raises:
    StateCorrupt: it is no state file, or not whole.
    OSError: it cannot be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
        raise StateCorrupt(str(path), "not a file")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LARGEST_HEADER, found.st_size - 8):
            raise StateCorrupt(str(path), f"a header of {length} bytes")
        text = file.read(length)
    try:
        metadata, tensors = _parsed(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StateCorrupt(str(path), "header") from error
    nbytes = max((end for _, _, _, end in tensors.values()), default=0)
    if found.st_size != 8 + length + nbytes or nbytes > LARGEST_STATE:
        raise StateCorrupt(str(path), f"size {found.st_size}, header {length}, tensors {nbytes}")
    return Header(metadata, tensors, 8 + length, nbytes)


def _parsed(header: dict[str, Any]) -> tuple[dict[str, str], Table]:
    """Raises ValueError and others: it is not what a state file has."""
    metadata = header.pop("__metadata__")
    if not all(isinstance(each, str) for pair in metadata.items() for each in pair):
        raise ValueError("metadata")
    if not 1 <= len(header) <= MOST_TENSORS:
        raise ValueError("number of tensors")
    tensors, at = {}, 0
    for name, entry in sorted(header.items(), key=lambda pair: pair[1]["data_offsets"]):
        shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
        if not all(isinstance(n, int) and 0 <= n < 1 << 31 for n in (*shape, begin, end - begin)):
            raise ValueError("shape")
        if begin != at or end - begin != math.prod(shape) * WIDTHS[entry["dtype"]]:
            raise ValueError("offsets")
        tensors[name], at = (entry["dtype"], shape, begin, end), end
    return metadata, tensors
