"""An export as a file: beside its place, private, durable before it takes its name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.durable import into_place
from rwkv_chat.exporters import EXPORTERS

if TYPE_CHECKING:
    from collections.abc import Iterable


def form_of(path: Path) -> str | None:
    """The format that a file's ending means; None for none of them."""
    return next((name for name, row in EXPORTERS.items() if row.suffix == path.suffix.lower()), None)


def write_file(pieces: Iterable[str], out: Path) -> None:
    """Raises: OSError: what was there before stays."""
    folder = out.absolute().parent
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{out.name[:50]}.", suffix=".part")
    except OSError as error:  # nobody asked for a file of that name: the folder is what is wrong
        raise type(error)(error.errno, error.strerror, str(folder)) from error
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.writelines(pieces)
        into_place(part, out)
    finally:
        part.unlink(missing_ok=True)
