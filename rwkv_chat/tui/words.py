"""Values of the session as entries of the transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.texts import say
from rwkv_chat.tui.prose.entry import LIVE, Entry

if TYPE_CHECKING:
    from rwkv_chat.transcript import Node
    from rwkv_chat.tui.turns import LiveReply

ENDINGS = {"stopped": "stopped", "length": "length", "failed": "failed", "growing": "cut"}


def node_entry(node: Node, *, last: bool = False) -> Entry:
    """A stored message; where nothing follows it (`last`), a reply that was cut can go on."""
    message = node.message
    if message.role == "user":
        return Entry(node.id, "user", message.text, name=say("app.transcript.you"))
    if message.role == "system":
        return Entry(node.id, "note", message.text, name=say("app.transcript.system"))
    return Entry(
        node.id,
        "assistant",
        message.text,
        name=say("app.transcript.model"),
        reasoning=message.reasoning,
        thought_seconds=node.thought_seconds,
        ending=_ending(node, last=last),
    )


def _ending(node: Node, *, last: bool) -> str:
    if node.status not in ENDINGS:
        return ""
    ending = say(f"app.ending.{ENDINGS[node.status]}")
    return say("app.ending.go_on", ending=ending) if last and node.message.text else ending


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
