"""Files of the store: written under another name, then put in place for good (`engine.durable`)."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from engine.durable import into_place, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

TEMPORARY = ".writing"
_BINARY = getattr(os, "O_BINARY", 0)


def write(path: Path, *parts: bytes) -> None:
    """Puts a file of these bytes, readable by its owner alone, in the place of whatever is at `path`.

    Raises:
        OSError: it cannot be written; what was at `path` is as it was.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}{TEMPORARY}")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
        into_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def move(path: Path, target: Path) -> None:
    """A file into another folder, for good. Raises: OSError."""
    into_place(path, target)
    sync_folder(path.parent)
