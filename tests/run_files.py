"""What lies in a run's folder: data alone. A pickle (or the zip around one) can hold code."""

from __future__ import annotations

import json
import tomllib
import zipfile
from typing import TYPE_CHECKING

from safetensors import safe_open

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _tensors(path: Path) -> None:
    with safe_open(path, "pt") as file:
        assert list(file.keys())


def _lines(path: Path) -> None:
    for line in path.read_text("utf-8").split("\n")[:-1]:
        json.loads(line)


# ending of a name → reads the whole file, and fails where it is of another form
READERS: dict[str, Callable[[Path], object]] = {
    ".toml": lambda path: tomllib.loads(path.read_text("utf-8")),
    ".json": lambda path: json.loads(path.read_text("utf-8")),
    ".jsonl": _lines,
    ".log": lambda path: path.read_text("utf-8"),
    ".lock": lambda path: path.read_text("utf-8"),
    ".safetensors": _tensors,
}


def check_data_alone(folder: Path) -> list[str]:
    """Every file is of the form that its name says; their names within the folder, in order."""
    files = sorted(each for each in folder.rglob("*") if not each.is_dir())
    for each in files:
        assert not each.is_symlink(), each
        assert not zipfile.is_zipfile(each), each
        READERS[each.suffix](each)
    return [str(each.relative_to(folder)) for each in files]
