"""Conversations and found messages in the words of the Library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.dates import date_of
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.threads import name_of
from rwkv_chat.tui.widgets.library_list import LibraryRow

if TYPE_CHECKING:
    from rwkv_chat.library.search import Hit
    from rwkv_chat.transcript import Thread


def thread_row(thread: Thread, tags: tuple[str, ...]) -> LibraryRow:
    pinned = thread.pinned is not None and thread.deleted is None
    return LibraryRow(thread.id, name_of(thread), date_of(thread.updated), tags, pinned)


def hit_row(hit: Hit) -> LibraryRow:
    who = say(f"app.library.who.{hit.node.message.role}")
    name = hit.title.strip() or say("app.untitled")
    return LibraryRow(hit.node.id, name, date_of(hit.node.created), who=who, snippet=hit.snippet)
