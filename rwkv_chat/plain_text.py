"""Text that may be shown: what a model, a file or a friend wrote, without the power to steer a terminal.

`clean` looks at one character at a time, so it serves whole texts and streams alike:
clean(a + b) == clean(a) + clean(b), wherever a piece was cut, and clean(clean(a)) == clean(a).
"""

from __future__ import annotations

import re
import unicodedata

TITLE_LENGTH = 60
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"

# C0 and C1 but newline and tab. Dropping every carriage return makes "\r\n" a newline, cut in two or not.
_DROPPED = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
_NEWLINES = r"\u2028\u2029"
# Not text at all: surrogates without a partner and the noncharacters.
_BROKEN = r"\ud800-\udfff\ufdd0-\ufdef" + "".join(
    f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(0x11)
)
# Text that hides or reorders other text: bidi embeddings, overrides and isolates, deprecated format
# characters, interlinear annotations, tags. Joiners and direction marks stay: emoji and scripts need them.
_HIDING = r"\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\U000e0000-\U000e007f"

_ODD = re.compile(
    f"(?P<dropped>[{_DROPPED}]+)|(?P<newline>[{_NEWLINES}])|(?P<broken>[{_BROKEN}])|[{_HIDING}]"
)
_CONTROLS = re.compile(f"[{_DROPPED}]")
_ODD_ONE = re.compile(f"[{_DROPPED}{_NEWLINES}{_BROKEN}{_HIDING}]")
_PICTURES = {chr(code): chr(0x2400 + code) for code in range(0x20)} | {"\x7f": "\u2421"}


def _replacement(match: re.Match[str]) -> str:
    match match.lastgroup:
        case "dropped":
            return ""
        case "newline":
            return "\n"
        case "broken":
            return "\ufffd"
        case _:
            return f"‹U+{ord(match[0]):04X}›"


def clean(text: str) -> str:
    """`text` as it may be shown or copied: controls dropped (newline and tab stay), bidi overrides and other
    hiding characters written out as ‹U+202E›, line and paragraph separators made newlines."""
    return _ODD.sub(_replacement, text)


def pasted(text: str) -> str:
    """`text` as a clipboard or a terminal gives it: LF line ends, other controls dropped, nothing else."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def in_place(text: str) -> str:
    """`text` with each odd character replaced by one that can be seen, so that places in it stay the same."""
    return _ODD_ONE.sub(lambda match: _PICTURES.get(match[0], "\ufffd"), text)


def title(text: str, length: int = TITLE_LENGTH) -> str:
    """`text` as one line of at most `length` characters, for window titles and lists of chats."""
    line = " ".join(clean(text).split())
    if len(line) <= length:
        return line
    return _whole(line[: length - 1], line[length - 1]) + "…"


def _whole(kept: str, following: str) -> str:
    """`kept` without a last letter or emoji whose marks or joined parts were cut away."""
    if _belongs(following):
        while kept and _belongs(kept[-1]):
            kept = kept[:-1]
        kept = kept[:-1]
    return kept.rstrip(" " + _JOINERS)


def _belongs(character: str) -> bool:
    return character in _JOINERS or unicodedata.combining(character) > 0
