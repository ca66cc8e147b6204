"""Values of the session as entries of the transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.texts import say
from rwkv_chat.tui.prose.entry import LIVE, Entry

if TYPE_CHECKING:
    from rwkv_chat.transcript import Node
    from rwkv_chat.tui.turns import LiveReply

ENDINGS = {"stopped": "stopped", "length": "length", "failed": "failed", "growing": "cut"}


def node_entry(node: Node, thought_seconds: float = 0.0) -> Entry:
    """A stored message; `thought_seconds` where it is known how long it was thought about."""
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
        name=say("app.transcript.model"),
        reasoning=message.reasoning,
        thought_seconds=thought_seconds,
        ending=say(f"app.ending.{ending}") if ending else "",
    )


def live_entry(live: LiveReply, hint: str) -> Entry:
    """A reply being written; `hint` stands in its place until the first word comes."""
    name = say("app.transcript.model")
    return Entry(
        LIVE,
        "assistant",
        live.text,
        name=name,
        reasoning=live.reasoning,
        thought_seconds=live.thought_seconds,
        ending=hint,
    )
