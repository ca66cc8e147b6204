"""Prefix keys: a BLAKE2b chain over token ids that can be taken up again at any position.

key(()) is `EMPTY`; key(ids + (t,)) = BLAKE2b-256(key(ids) ‖ uint32 little-endian t).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EMPTY = "0" * 64


def walk(ids: Iterable[int], start: str = EMPTY) -> Iterator[str]:
    """The key after each token, in order (64 hex digits each)."""
    key = bytes.fromhex(start)
    for token in ids:
        key = hashlib.blake2b(key + token.to_bytes(4, "little"), digest_size=32).digest()
        yield key.hex()


def extend(ids: Iterable[int], start: str = EMPTY) -> str:
    """The key after all of `ids`, begun at `start`."""
    key = start
    for key in walk(ids, start):  # noqa: B007  the last one is the answer
        pass
    return key
