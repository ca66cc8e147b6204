"""A snapshot's checksum: over its header without the checksum itself, then the bytes of its tensors.

XXH3 with 128 bits finds every kind of damage that a disk does, at the speed of memory, so that taking up a
state costs its reading. It proves nothing against somebody who writes a state on purpose; no checksum without
a secret does. Files of earlier versions have BLAKE2b, which costs thirty times as much as the read.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol

import xxhash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIELD, OLD = "xxh3", "checksum"  # of the metadata; a file has one of them


_WORDS = json.JSONEncoder(sort_keys=True)  # made once: it stands between a request and its first token


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


_HASHES: dict[str, Callable[[], _Hash]] = {
    FIELD: xxhash.xxh3_128,
    OLD: lambda: hashlib.blake2b(digest_size=32),
}


def checksum(header: Mapping[str, Any], *parts: bytes | memoryview, field: str = FIELD) -> str:
    """Of a header (with or without a checksum) and the tensor bytes that follow it, in hex digits."""
    metadata = {name: value for name, value in header["__metadata__"].items() if name != field}
    digest = _HASHES[field]()
    digest.update(_WORDS.encode({**header, "__metadata__": metadata}).encode())
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def holds(header: Mapping[str, Any], data: memoryview) -> bool:
    """Whether a file's checksum, of either kind, is that of what was read."""
    field = FIELD if FIELD in header["__metadata__"] else OLD
    return checksum(header, data, field=field) == header["__metadata__"].get(field)
