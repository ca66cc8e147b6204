"""A saved state as a file to be given away, and one that was given: the same safetensors file, with words
about it in the header. No torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.errors import StateCorrupt
from engine.store.checksum import FIELD, OLD, checksum, holds
from engine.store.header import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from engine.store.header import Header
    from engine.types import StateKey

ABOUT = "about"  # of the metadata: a JSON object
OURS = ("layout", "formatter", "arch", "length", "pending", "seed", "position", "counts", "carry")


def read_portable(path: Path) -> tuple[Header, bytes]:
    """A state file and the bytes of its tensors, whole as its checksum says.

    Raises:
        StateCorrupt: it is no state file, or damaged.  OSError: it cannot be read.
    """
    header = read_header(path)
    with path.open("rb") as file:
        file.seek(header.begin)
        data = file.read(header.nbytes)
    if len(data) != header.nbytes or not holds(_json(header), memoryview(data)):
        raise StateCorrupt(str(path), "checksum")
    return header, data


def portable(header: Header, data: bytes, key: StateKey, about: dict[str, object] | None) -> bytes:
    """The file of a state under `key`, with words about it: what else its header said is left out."""
    metadata = {name: header.metadata[name] for name in OURS if name in header.metadata}
    metadata |= {f"key.{name}": value for name, value in asdict(key).items()}
    if about is not None:
        metadata[ABOUT] = json.dumps(about, ensure_ascii=False)
    table = {
        name: {"dtype": code, "shape": list(shape), "data_offsets": [begin, end]}
        for name, (code, shape, begin, end) in header.tensors.items()
    }
    whole: dict[str, object] = {"__metadata__": metadata, **table}
    metadata[FIELD] = checksum(whole, data)
    text = json.dumps(whole).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, data))


def name_of(header: Header, data: bytes, prefix: str) -> str:
    """32 hex digits that stand for a state from outside and what it is said to be."""
    digest = hashlib.blake2b(prefix.encode(), digest_size=16)
    digest.update(json.dumps(sorted(header.tensors.items())).encode())
    digest.update(data)
    return digest.hexdigest()


def _json(header: Header) -> dict[str, object]:
    """The header as it is hashed."""
    table = {
        name: {"dtype": code, "shape": list(shape), "data_offsets": [begin, end]}
        for name, (code, shape, begin, end) in header.tensors.items()
    }
    known = FIELD if FIELD in header.metadata else OLD
    return {"__metadata__": {**header.metadata, known: header.metadata.get(known, "")}, **table}
