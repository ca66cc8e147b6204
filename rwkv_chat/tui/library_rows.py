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


def thread_row(thread: Thread, tags: tuple[str, ...], *, unverified: bool = False) -> LibraryRow:
    """`unverified`: its memory came with a file, and was not compared with its text."""
    pinned = thread.pinned is not None and thread.deleted is None
    who = say("app.capsule.unverified") if unverified else ""
    return LibraryRow(thread.id, name_of(thread), date_of(thread.updated), tags, pinned, who)


def hit_row(hit: Hit, here: str = "") -> LibraryRow:
    """`here`: the place that was searched ("archived", "trash"), which is not named with each of its hits."""
    who = say(f"app.library.who.{hit.node.message.role}")
    where = "trash" if hit.deleted else "archived" if hit.archived else ""
    if where and where != here:
        who = say(f"app.library.where.{where}", who=who)
    name = hit.title.strip() or say("app.untitled")
    return LibraryRow(hit.node.id, name, date_of(hit.node.created), who=who, snippet=hit.snippet)
