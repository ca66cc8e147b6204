"""What the name of an official weights file says: `{arch}-{data}-{size}-{YYYYMMDD}-ctx{N}.pth`.

A name is a hint for lists, never a reason to load a file one way or another: that is told from its tensors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

_RELEASE = re.compile(
    r"(?P<arch>rwkv\d[a-z]?)-(?P<data>g\d[a-z]?\d?)-(?P<size>\d+(?:\.\d+)?[mb])"
    r"-(?P<date>\d{8})-ctx(?P<context>\d+)\.pth"
)
_VERSION = re.compile(r"\brwkv[\s-](?=\d)")  # "RWKV-7" is rwkv7
_SIZE = re.compile(r"\d+(?:\.\d+)?[mb]")
_OLD_SIZE = re.compile(r"\b(\d)b(\d)\b")  # "1b5" is 1.5b


@dataclass(frozen=True, slots=True)
class FileName:
    """The parts of a release's name.

    Attributes:
        arch: "rwkv7", "rwkv7a" …  data: "g1d" …  size: "0.4b".  context: tokens of the last training stage.
    """

    arch: str
    data: str
    size: str
    date: date
    context: int


def parse_name(file: str) -> FileName | None:
    """The parts of `file`; None where it is named in another way."""
    found = _RELEASE.fullmatch(file)
    if not found:
        return None
    try:
        day = date.fromisoformat(found["date"])
    except ValueError:
        return None
    return FileName(found["arch"], found["data"], found["size"], day, int(found["context"]))


def parameters(size: str) -> int:
    """How many parameters a size's label claims: "0.4b" is 400,000,000."""
    scale = {"m": 1_000_000, "b": 1_000_000_000}[size[-1]]
    return round(float(size[:-1]) * scale)


def words(typed: str) -> tuple[str, ...]:
    """A name as people type it, as words to compare: "RWKV-7 G1d 0.4B.pth" → ("rwkv7", "g1d", "0.4b")."""
    text = typed.strip().lower().removesuffix(".pth")
    text = _OLD_SIZE.sub(r"\1.\2b", _VERSION.sub("rwkv", text))
    return tuple(word for word in re.split(r"[\s_/-]+", text) if word)


def is_size(word: str) -> bool:
    """Whether a word is a size's label."""
    return _SIZE.fullmatch(word) is not None
