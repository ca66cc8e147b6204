"""Where the interface would draw."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from rwkv_chat.doctor.finding import Finding
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rwkv_chat.paths import Paths

SMALLEST = (60, 16)


def check(_: Paths, __: Path | None) -> Iterator[Finding]:
    yield _size()
    yield _encoding()


def _size() -> Finding:
    if not sys.stdout.isatty():
        return Finding.of("terminal", say("doctor.value.no_terminal"))
    columns, lines = shutil.get_terminal_size()
    value = say("doctor.value.terminal", columns=columns, lines=lines)
    large = columns >= SMALLEST[0] and lines >= SMALLEST[1]
    return Finding.unless(large, "terminal", value, "small_terminal")


def _encoding() -> Finding:
    encoding = (getattr(sys.stdout, "encoding", None) or "-").lower()
    known = encoding.replace("-", "") in ("utf8", "utf8sig")
    return Finding.unless(known, "encoding", encoding, "encoding")
