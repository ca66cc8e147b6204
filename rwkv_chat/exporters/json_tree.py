"""Whole conversations as JSON, every branch of them; `rwkv_chat.importers.json_tree` reads it again.

{"format": "rwkv-chat conversations", "version": 1, "conversations": [{
    "id", "title", "tip" (id of the message it stands at, or null), "created", "updated" (seconds since the
    epoch), "model", "template", "chosen_template", "mode", "keep_reasoning", "kind": "chat" | "text" |
    "reading",
    "messages": [{"id", "parent" (id or null), "role": "system" | "user" | "assistant", "text", "reasoning",
        "status": "complete" | "stopped" | "length" | "failed" | "growing", "model", "template", "mode",
        "seed" (or null), "created", "bookmark" (its name or null), "pinned", "fresh" (memory begins with it),
        "kind": "" | "passage" (read as it stands), "rest" (of a text: what stood after the cursor)}, …]}, …]}

Token ids are not in it: they belong to one model's vocabulary, and are made again from the text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rwkv_chat.transcript import Node, Tree

FORMAT, VERSION = "rwkv-chat conversations", 1
THREAD_FIELDS = (
    *("id", "title", "tip", "created", "updated", "model", "template", "chosen_template", "mode"),
    *("keep_reasoning", "kind"),
)
NODE_FIELDS = (
    *("id", "parent", "status", "model", "template", "mode", "seed", "created", "bookmark", "pinned"),
    *("fresh", "kind", "rest"),
)


def write(trees: Iterable[Tree]) -> Iterator[str]:
    yield f'{{"format": {json.dumps(FORMAT)}, "version": {VERSION}, "conversations": ['
    for number, tree in enumerate(trees):
        yield ("," if number else "") + "\n" + json.dumps(record(tree), ensure_ascii=False)
    yield "\n]}\n"


def record(tree: Tree) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(tree.thread, name) for name in THREAD_FIELDS}
    return told | {"messages": [_message(each) for each in tree.nodes]}


def _message(node: Node) -> dict[str, Any]:
    said = node.message
    told: dict[str, Any] = {"role": said.role, "text": said.text, "reasoning": said.reasoning}
    return told | {name: getattr(node, name) for name in NODE_FIELDS}
