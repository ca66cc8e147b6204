"""Conversations as files for people and other programs: one module per format, one table.

Each `write` takes conversations one after the other and gives the file in pieces, so that many of them need
no more memory than the longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.exporters import html, json_tree, markdown, plain, rwkv_jsonl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rwkv_chat.transcript import Tree


@dataclass(frozen=True, slots=True)
class Exporter:
    """`suffix`: of its files, by which a format is chosen where none is named."""

    suffix: str
    write: Callable[[Iterable[Tree]], Iterator[str]]


EXPORTERS: dict[str, Exporter] = {
    "markdown": Exporter(".md", markdown.write),
    "json": Exporter(".json", json_tree.write),
    "text": Exporter(".txt", plain.write),
    "html": Exporter(".html", html.write),
    "rwkv": Exporter(".jsonl", rwkv_jsonl.write),
}
