"""The World vocabulary as GGUF files keep it: token 0, then each entry as a bytes literal, then padding.

Read from llama.cpp's `conversion/base.py` and `src/llama-vocab.cpp`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import WeightsCorrupt
from engine.tokenizer_world import ENTRIES, world_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.weights.gguf_header import Header

MODEL_KEY, TOKENS_KEY, TYPES_KEY = (
    "tokenizer.ggml.model",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
)
MODEL = "rwkv"
NO_MODEL = ("", "none", "no_vocab")
NORMAL, CONTROL, UNUSED = 1, 3, 5  # types of tokens
BEGIN = b"<s>"

_ESCAPES = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_LETTERS = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}


def escaped(entry: bytes) -> bytes:
    """An entry as the file keeps it: Python's literal without its quotes."""
    return repr(entry)[2:-1].encode()


def unescaped(text: bytes) -> bytes:
    """The bytes that llama.cpp takes a token's text for."""
    if b"\\" not in text:
        return text
    return _ESCAPES.sub(lambda found: _unescape(found[1]), text)


def _unescape(code: bytes) -> bytes:
    if len(code) == 3:
        return bytes((int(code[1:], 16),))
    return _LETTERS.get(code, code)


def world_tokens(rows: int) -> Iterator[tuple[bytes, int]]:
    """Text and type of each of a model's `rows` tokens (`rows` > `ENTRIES`).

    Raises:
        TokenizerInvalid: the vocabulary is not installed.
    """
    entry = world_tokenizer().token_bytes
    yield BEGIN, CONTROL
    for token in range(1, ENTRIES + 1):
        yield escaped(entry(token)), NORMAL
    for token in range(ENTRIES + 1, rows):
        yield f"[PAD{token}]".encode(), UNUSED


def tokenizer_of(header: Header) -> str:
    """ "world", "none", or the name that the file has for another kind of tokenizer.

    Raises:
        WeightsCorrupt: it says that it is RWKV's, and has other tokens.
    """
    model = header.text(MODEL_KEY)
    if model != MODEL:
        return "none" if model in NO_MODEL else model[:40]
    found = header.strings(TOKENS_KEY)
    wrong = _first_difference(found)
    if wrong is not None:
        token = found[wrong].decode(errors="replace") if wrong < len(found) else "missing"
        raise WeightsCorrupt(str(header.path), f"token {wrong}", "the World vocabulary", token[:40])
    return "world"


def _first_difference(texts: Sequence[bytes]) -> int | None:
    """The first id whose bytes are others; what 0 and the padding say does not matter."""
    entry = world_tokenizer().token_bytes
    for token in range(1, ENTRIES + 1):
        same = token < len(texts) and texts[token] == escaped(entry(token))
        if not same and (token >= len(texts) or unescaped(texts[token]) != entry(token)):
            return token
    return None
