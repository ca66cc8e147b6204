"""Finished rows, one JSON object a line: appended as soon as they are known, and not measured twice."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Results:
    """The rows of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, dict[str, Any]] = {each["row"]: each for each in self._read()}

    def _read(self) -> list[dict[str, Any]]:
        """A last line that was cut short is measured again."""
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def add(self, row: str, values: dict[str, Any]) -> None:
        self.rows[row] = {"row": row, **values}
        with self._path.open("a+b") as file:
            if file.tell() and not self._ends_a_line():
                file.write(b"\n")
            file.write(json.dumps(self.rows[row]).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _ends_a_line(self) -> bool:
        return self._path.read_bytes().endswith(b"\n")
