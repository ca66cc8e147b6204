"""Tokenizers: text to token ids and back, byte for byte.

`load_tokenizer` gives the World vocabulary or any Hugging Face `tokenizer.json`; importing this module
loads neither.
"""

from __future__ import annotations

import functools
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.errors import TokenizerInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.types import TokenIds, TokenizerRef


class Tokenizer(Protocol):
    """What the engine and the app need of a tokenizer.

    Attributes:
        vocab_size: number of ids, counting special ones.
        sampleable: highest id that may be sampled, plus one (a model's output row can be longer).
        holes: ids below `sampleable` that name nothing and are never sampled.
    """

    vocab_size: int
    sampleable: int
    holes: TokenIds

    def encode(self, text: str) -> TokenIds:
        """The ids of `text`; no id is added, and names of special tokens in it are ordinary text."""
        ...

    def encode_bytes(self, data: bytes) -> TokenIds:
        """The ids of `data`, which need not be valid UTF-8."""
        ...

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of `ids`; special and unknown ids give none."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one id; b"" if it is special or unknown."""
        ...


def load_tokenizer(ref: TokenizerRef) -> Tokenizer:
    """The tokenizer that `ref` names; the same object for the same unchanged file.

    Raises:
        TokenizerInvalid: the file is missing, too large, broken or of an unknown kind.
    """
    if ref.kind == "world":
        from engine.tokenizer_world import world_tokenizer

        return world_tokenizer()
    path = Path(ref.path or "")
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # a name may hold a NUL
        raise TokenizerInvalid(str(path), "cannot be read") from error
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, a device has no end
        raise TokenizerInvalid(str(path), "not a file")
    return _json_tokenizer(str(path), found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _json_tokenizer(path: str, size: int, _mtime_ns: int) -> Tokenizer:
    from engine.tokenizer_json import JsonTokenizer

    return JsonTokenizer(path, size)


def well_formed(text: str) -> str:
    """`text` with every lone surrogate replaced by U+FFFD, so that it can be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
