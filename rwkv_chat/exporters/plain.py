"""`User: …` and `Assistant: …`, a blank line between two messages; a line of dashes between conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rwkv_chat.transcript import Tree

SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


def write(trees: Iterable[Tree]) -> Iterator[str]:
    for number, tree in enumerate(trees):
        if number:
            yield "-----\n\n"
        for node in tree.path:
            yield f"{SPEAKERS[node.message.role]}: {node.message.text}\n\n"
