"""Are saved states what they say they are? By name, header and checksum, without a model or torch."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import fields
from typing import TYPE_CHECKING, Any, BinaryIO

from engine.errors import StateCorrupt
from engine.store.checksum import holds
from engine.store.statestore import HELD, SUFFIX, file_name
from engine.types import StateKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_HEADER = 16 << 20


def check_all(folder: Path) -> Iterator[tuple[Path, StateCorrupt | None]]:
    """Every snapshot of a folder, by name, with what is wrong with it."""
    for path in sorted((*folder.glob(f"*{SUFFIX}"), *(folder / HELD).glob(f"*{SUFFIX}"))):
        try:
            check(path)
        except FileNotFoundError:
            continue  # it was given up meanwhile
        except StateCorrupt as error:
            yield path, error
        else:
            yield path, None


def check(path: Path) -> StateKey:
    """Reads a snapshot to its last byte; its key.

    Raises:
        StateCorrupt: it is damaged, or its name is not that of its key.  FileNotFoundError.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise StateCorrupt(str(path), "not a file")
        with path.open("rb") as file:
            header = _header(file, path)
            rest = bytearray(os.fstat(file.fileno()).st_size - file.tell())
            read = file.readinto(rest)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateCorrupt(str(path), error.strerror or "cannot be read") from error
    metadata = header["__metadata__"]
    try:
        key = StateKey(**{each.name: metadata[f"key.{each.name}"] for each in fields(StateKey)})
        named = file_name(key) == path.name
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateCorrupt(str(path), "metadata") from error
    if read != len(rest) or not holds(header, memoryview(rest)):
        raise StateCorrupt(str(path), "checksum")
    if not named:
        raise StateCorrupt(str(path), "its name is not that of its content")
    return key


def _header(file: BinaryIO, path: Path) -> dict[str, Any]:
    length = file.read(8)
    size = int.from_bytes(length, "little")
    if len(length) < 8 or not 2 <= size <= MAX_HEADER:
        raise StateCorrupt(str(path), "header")
    try:
        header = json.loads(file.read(size))
    except (ValueError, RecursionError) as error:
        raise StateCorrupt(str(path), "header") from error
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
        raise StateCorrupt(str(path), "header")
    return header
