"""The World vocabulary (65,529 entries): greedy longest match over UTF-8 bytes.

The vocabulary is a text file inside one of two installed packages. Text is encoded by the Rust package where
it is present, else by `Matcher`; both give the same ids (tests compare them). Decoding is ours: byte-exact.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import TokenizerInvalid
from engine.tokenizer import well_formed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.types import TokenIds

FILE = "rwkv_vocab_v20230424.txt"
PACKAGES = ("pyrwkv_tokenizer", "rwkv")
ENTRIES = 65_529
MAX_FILE = 4 << 20


class WorldTokenizer:
    """The World vocabulary; id 0 (end of document) is not in the file and stands for no bytes."""

    vocab_size = ENTRIES + 1
    sampleable = ENTRIES + 1
    holes: TokenIds = ()

    def __init__(self, entries: Sequence[bytes], *, plain: bool = False) -> None:
        """`entries[id]` are the bytes of id; `plain` leaves the Rust encoder aside."""
        self._entries = entries
        self._plain = plain

    @functools.cached_property
    def _fast(self) -> Callable[[str], list[int]] | None:
        return None if self._plain else _rust_encode()

    @functools.cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self._entries)

    def encode(self, text: str) -> TokenIds:
        text = well_formed(text)
        return tuple(self._fast(text)) if self._fast else self.encode_bytes(text.encode())

    def encode_bytes(self, data: bytes) -> TokenIds:
        return tuple(self._matcher.match(data))

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(self.token_bytes, ids))

    def token_bytes(self, token: int) -> bytes:
        return self._entries[token] if 0 <= token < len(self._entries) else b""


class Matcher:
    """Greedy longest match: the lengths worth trying are looked up by the next two bytes."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self._ids = {entry: token for token, entry in enumerate(entries) if entry}
        lengths: dict[bytes, set[int]] = {}
        for entry in entries:
            if len(entry) > 1:
                lengths.setdefault(entry[:2], set()).add(len(entry))
        self._lengths = {start: sorted(found, reverse=True) for start, found in lengths.items()}

    def match(self, data: bytes) -> Iterable[int]:
        at, ids = 0, self._ids
        while at < len(data):
            for length in self._lengths.get(data[at : at + 2], ()):
                token = ids.get(data[at : at + length])
                if token is not None and at + length <= len(data):
                    break
            else:
                token, length = ids[data[at : at + 1]], 1
            yield token
            at += length


def parse_vocabulary(text: str, path: str) -> list[bytes]:
    """Lines `<id> <python literal> <byte length>` (LF or CRLF) to a table id → bytes, with b"" at 0.

    Raises:
        TokenizerInvalid: a line is not of that form, or the ids are not 1, 2, 3 … in order.
    """
    entries = [b""]
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")  # one package ships the file with CRLF
        if not line:
            continue
        try:
            token, rest = line.split(" ", 1)
            literal, length = rest.rsplit(" ", 1)
            entry = _literal_bytes(literal)
            good = int(token) == len(entries) and len(entry) == int(length) > 0
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise TokenizerInvalid(path, f"line {number}") from error
        if not good:
            raise TokenizerInvalid(path, f"line {number}")
        entries.append(entry)
    return entries


def _literal_bytes(literal: str) -> bytes:
    """The bytes of a str or bytes literal; without a backslash it stands for itself (four times as fast)."""
    quoted = len(literal) >= 3 and literal[0] in "'\"" and literal.find(literal[0], 1) == len(literal) - 1
    if quoted and "\\" not in literal:
        return literal[1:-1].encode()
    value = ast.literal_eval(literal)
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise ValueError(literal)
    return value


def vocabulary_path() -> Path:
    """The vocabulary file in an installed package, found without importing the package.

    Raises:
        TokenizerInvalid: neither package is installed.
    """
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder, FILE)
            if path.is_file():
                return path
    raise TokenizerInvalid(FILE, "not installed")


def read_vocabulary(path: Path) -> list[bytes]:
    """The table of the whole World vocabulary.

    Raises:
        TokenizerInvalid: the file is not the World vocabulary.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise TokenizerInvalid(str(path), "too large")
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerInvalid(str(path), "cannot be read") from error
    entries = parse_vocabulary(text, str(path))
    if len(entries) != ENTRIES + 1 or entries[1:257] != [bytes((byte,)) for byte in range(256)]:
        raise TokenizerInvalid(str(path), f"{len(entries) - 1} entries")
    return entries


@functools.cache
def world_tokenizer() -> WorldTokenizer:
    """The World tokenizer, read once in a process (0.1 s; the Rust encoder takes 0.25 s at its first use)."""
    return WorldTokenizer(read_vocabulary(vocabulary_path()))


def _rust_encode() -> Callable[[str], list[int]] | None:
    """The Rust encoder; None where it is not installed or does not run."""
    try:
        from pyrwkv_tokenizer import RWKVTokenizer
    except ImportError:
        return None
    return RWKVTokenizer().encode
