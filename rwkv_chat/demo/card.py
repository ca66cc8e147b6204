"""The list of what a trained model teaches, kept in its `model.toml`: written by training, checked by a test.

A fact of kind "key" is a binding's key as shown, "command" a command, "parameter" the sentence with a usual
value or range or the words of a meaning, "fact" the words that every answer on the topic holds.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.demo.corpus.topics import topics

if TYPE_CHECKING:
    from pathlib import Path

MARK = "# What it was taught, written by training; do not edit below.\n"


@dataclass(frozen=True, slots=True)
class Taught:
    """One fact: the topic's id, its kind, and what every right answer holds."""

    id: str
    kind: str
    value: tuple[str, ...]


def taught() -> tuple[Taught, ...]:
    """What training teaches as the tables are now."""
    return tuple(Taught(each.id, each.kind, each.value) for each in topics().values())


def read(path: Path) -> tuple[Taught, ...]:
    """What the model beside this `model.toml` was taught."""
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("facts", [])
    return tuple(Taught(row["id"], row["kind"], tuple(row["value"])) for row in rows)


def write(path: Path) -> None:
    """Replaces the list at the end of `path`; what stands above the mark stays."""
    head = path.read_text(encoding="utf-8").partition(MARK)[0] if path.exists() else ""
    head = head.rstrip("\n") + "\n\n" if head.strip() else ""
    path.write_text(head + MARK + "".join(map(_table, taught())), encoding="utf-8")


def _table(fact: Taught) -> str:
    id_, kind, value = (json.dumps(x) for x in (fact.id, fact.kind, fact.value))
    return f"\n[[facts]]\nid = {id_}\nkind = {kind}\nvalue = {value}\n"
