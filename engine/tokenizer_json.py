"""Any Hugging Face `tokenizer.json`, through the `tokenizers` library; decoding to bytes is ours.

The library decodes to text and hides what is not UTF-8, so every id's bytes are worked out from its name in
the vocabulary and the decoder: byte-level, byte fallback (`<0x0A>`), `▁` for a space, `##` of WordPiece.
"""

from __future__ import annotations

import functools
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import TokenizerInvalid
from engine.tokenizer import well_formed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.types import TokenIds

MAX_FILE = 64 << 20
MAX_ID = 1 << 20
MAX_GROWTH = 64  # a replaced space doubles a text
_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class JsonTokenizer:
    """A tokenizer.json.

    Attributes:
        special: name → id of the special tokens; they have no bytes and no text makes them.

    Raises:
        TokenizerInvalid: the file is larger than 64 MiB, broken, numbers its tokens beyond 2^20, or makes
            long texts of short ones.
    """

    def __init__(self, path: str, size: int) -> None:
        if size > MAX_FILE:
            raise TokenizerInvalid(path, "too large")
        self._path = path
        self._library, parsed = _parse(path)
        self._library.encode_special_tokens = True
        added = self._library.get_added_tokens_decoder()
        self.special = {token.content: id_ for id_, token in added.items() if token.special}
        self._literal = {id_: token.content.encode() for id_, token in added.items() if not token.special}
        self._literal |= dict.fromkeys(self.special.values(), b"")
        self._names = {id_: name for name, id_ in self._library.get_vocab().items()}
        if not self._names or max(self._names) >= MAX_ID:
            raise TokenizerInvalid(path, "token ids out of range" if self._names else "no tokens")
        self._kinds = frozenset(_kinds(parsed))
        self.vocab_size = len(self._names)
        self.sampleable = max(self._names) + 1
        self.holes: TokenIds = tuple(sorted(set(range(self.sampleable)) - set(self._names)))
        self._bytes = functools.cache(self._compute_bytes)

    def encode(self, text: str) -> TokenIds:
        """Raises: TokenizerInvalid: the file has rules that the library fails at."""
        try:
            return tuple(self._library.encode(well_formed(text), add_special_tokens=False).ids)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # a panic of the library is no Exception: it would end the thread
            raise TokenizerInvalid(self._path, "it fails at some texts") from error

    def encode_bytes(self, data: bytes) -> TokenIds:
        ids = self.encode(data.decode(errors="replace"))
        if self.decode_bytes(ids) == data or any(byte not in self._single for byte in data):
            return ids
        return tuple(self._single[byte] for byte in data)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(self._bytes, ids))

    def token_bytes(self, token: int) -> bytes:
        return self._bytes(token)

    @functools.cached_property
    def _single(self) -> dict[int, int]:
        """byte → the lowest id that stands for this byte alone."""
        found: dict[int, int] = {}
        for token in sorted(self._names):
            data = self._bytes(token)
            if len(data) == 1:
                found.setdefault(data[0], token)
        return found

    def _compute_bytes(self, token: int) -> bytes:
        if token in self._literal:
            return self._literal[token]
        name = self._names.get(token)
        if name is None:
            return b""
        if "ByteLevel" in self._kinds:
            return _byte_level(name)
        fallback = _BYTE_FALLBACK.fullmatch(name)
        if fallback and "ByteFallback" in self._kinds:
            return bytes((int(fallback[1], 16),))
        if "WordPiece" in self._kinds:
            return (name[2:] if name.startswith("##") else f" {name}").encode()
        return name.replace("▁", " ").encode()


def _parse(path: str) -> tuple[Any, dict[str, Any]]:
    """The library's tokenizer and the parsed file."""
    from tokenizers import Tokenizer

    try:
        text = Path(path).read_bytes().decode()
        parsed = json.loads(text)
        library = Tokenizer.from_str(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the library is no Exception
        raise TokenizerInvalid(path, "not a tokenizer.json") from error
    if not isinstance(parsed, dict):
        raise TokenizerInvalid(path, "not a tokenizer.json")
    if _growth(parsed.get("normalizer")) > MAX_GROWTH:
        raise TokenizerInvalid(path, "it makes texts too long")
    library.no_padding()
    library.no_truncation()
    return library, parsed


def _growth(part: Any) -> int:
    """How many times as long a normaliser's replacements, one after the other, can make a text."""
    if not isinstance(part, dict):
        return 1
    each = [_growth(inner) for inner in part.get("normalizers") or ()]
    return math.prod(each) * (1 + len(str(part.get("content") or "")))


def _kinds(parsed: dict[str, Any]) -> Iterator[str]:
    """The types of the decoder and its parts; of the pre-tokenizer where there is no decoder."""
    waiting = [parsed.get("decoder") or parsed.get("pre_tokenizer")]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield str(part.get("type", ""))
            waiting += [*(part.get("decoders") or ()), *(part.get("pretokenizers") or ())]


@functools.cache
def _byte_alphabet() -> dict[str, int]:
    """The byte-level alphabet: printable Latin-1 stands for itself, the other bytes for U+0100, U+0101 …"""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def _byte_level(name: str) -> bytes:
    alphabet = _byte_alphabet()
    if all(letter in alphabet for letter in name):
        return bytes(alphabet[letter] for letter in name)
    return name.encode()
