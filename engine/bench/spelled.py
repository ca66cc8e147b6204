"""A tokenizer for models whose own is not asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.types import TokenIds


class Spelled:
    """A tokenizer of any vocabulary: each id is a short word, so that a reply never stops by itself."""

    holes: TokenIds = ()

    def __init__(self, vocabulary: int) -> None:
        self.vocab_size = self.sampleable = vocabulary

    def encode(self, text: str) -> TokenIds:
        return self.encode_bytes(text.encode())

    def encode_bytes(self, data: bytes) -> TokenIds:
        return tuple(each % self.vocab_size for each in data)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(self.token_bytes, ids))

    def token_bytes(self, token: int) -> bytes:
        return b" %d" % token
