"""What the library tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.library import nodes, threads
from rwkv_chat.library.nodes import Reply

if TYPE_CHECKING:
    import sqlite3

CODING = "world/classic"


def say(db: sqlite3.Connection, text: str, thread: str | None = None) -> tuple[str, str]:
    """(thread, node) after a message."""
    name = thread or threads.new_id()
    found, node = nodes.append_user(db, name, text, text, create=thread is None)
    return found.id, node.id


def reply(parent: str, text: str, **more: object) -> Reply:
    values: dict = {
        "id": f"r-{parent}",
        "reasoning": "",
        "status": "growing",
        "coding": CODING,
        "tokens": (1,),
    }
    return Reply(parent=parent, text=text, **{**values, **more})


def texts(db: sqlite3.Connection, thread: str) -> list[str]:
    return [each.node.message.text for each in nodes.path(db, threads.get(db, thread).tip)]
