"""How much room there is on the disk of a folder that may not be there yet."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def free_bytes(folder: Path) -> int | None:
    """Bytes free where `folder` is or will be; None if nobody knows. Blocks."""
    try:
        return shutil.disk_usage(existing(folder)).free
    except OSError:
        return None
