"""Values of the session as words and entries for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.texts import say
from rwkv_chat.tui.prose.entry import Entry

if TYPE_CHECKING:
    from rwkv_chat.transcript import Node

ENDINGS = {"stopped": "stopped", "length": "length", "failed": "failed", "growing": "cut"}


def node_entry(node: Node, model: str) -> Entry:
    """A stored message as the transcript shows it; `model` is the name of who replies."""
    message = node.message
    if message.role == "user":
        return Entry(node.id, "user", message.text, name=say("app.transcript.you"))
    if message.role == "system":
        return Entry(node.id, "note", message.text, name=say("app.transcript.system"))
    ending = ENDINGS.get(node.status, "")
    return Entry(
        node.id,
        "assistant",
        message.text,
        name=model,
        reasoning=message.reasoning,
        ending=say(f"app.ending.{ending}") if ending else "",
    )
