"""Markdown: a heading for the conversation and for each message; thoughts as a quotation before the answer.
A message is Markdown itself and stands as it was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rwkv_chat.transcript import Node, Tree


def write(trees: Iterable[Tree]) -> Iterator[str]:
    for tree in trees:
        yield f"# {title(tree.thread.title) or say('convs.untitled')}\n\n"
        for node in tree.path:
            yield _message(node)


def _message(node: Node) -> str:
    said = node.message
    thoughts = "".join(f"> {line}\n" for line in said.reasoning.split("\n")) + "\n" if said.reasoning else ""
    return f"## {say(f'convs.speaker.{said.role}')}\n\n{thoughts}{said.text}\n\n"
