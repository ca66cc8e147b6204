"""Chat logs of other programs: what one seems to be, and taking it into the library, conversation by
conversation.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rwkv_chat.importers import json_tree
from rwkv_chat.importers.arrange import Cast, tree
from rwkv_chat.importers.forms import Conversation, Refused, Report
from rwkv_chat.importers.logs import Progress, conversations, guess
from rwkv_chat.library import logs, threads, trees
from rwkv_chat.session.errors import ConversationsInvalid, SpeakersUnknown
from rwkv_chat.session.titles import title_from

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator
    from pathlib import Path

    from rwkv_chat.importers.logs import Guess
    from rwkv_chat.library.database import Library
    from rwkv_chat.transcript import Thread, Tree

NAMES = 20  # that are named where somebody must be chosen


@dataclass(frozen=True, slots=True)
class Imported:
    """One conversation of a file: new here, or one that was here already, with so many messages added."""

    thread: Thread
    new: bool
    added: int = 0


async def look(path: Path, form: str = "") -> Guess | None:
    """What a log seems to be; None for an export of our own.

    Raises:
        ConversationsInvalid, OSError.
    """
    if await asyncio.to_thread(json_tree.is_ours, path):
        return None
    try:
        return await asyncio.to_thread(guess, path, form)
    except Refused as refused:
        raise ConversationsInvalid(str(path), refused.where, refused.hint) from refused


async def take_in(
    library: Library, path: Path, form: str = "", cast: Cast | None = None
) -> AsyncIterator[Imported | Progress | Report]:
    """Bring in a log, or what was exported here. Last comes the report.

    Of our own export all is checked before anything is kept, and what is here already is left alone; of a log
    each conversation is kept as it is read, and one that is here already gets what it lacks.

    Args:
        form: a key of `importers.formats.FORMATS`, in place of the guess.
        cast: who is who in a messenger's chats, where the log does not say.

    Raises:
        ConversationsInvalid, SpeakersUnknown, LibraryError, OSError.
    """
    try:
        if not form and await asyncio.to_thread(json_tree.is_ours, path):
            for found in await asyncio.to_thread(json_tree.read, path):
                yield await library.run(_take_own, found)
            return
        async for event in _log(library, path, form, cast or Cast()):
            yield event
    except Refused as refused:
        raise ConversationsInvalid(str(path), refused.where, refused.hint) from refused


async def _log(
    library: Library, path: Path, form: str, cast: Cast
) -> AsyncIterator[Imported | Progress | Report]:
    await _check(path, form, cast)
    told, items = Report(), conversations(path, form)
    try:
        while (item := await asyncio.to_thread(next, items, None)) is not None:
            if isinstance(item, Progress):
                yield item
                continue
            told.count(item)
            if isinstance(item, Conversation):
                yield await library.run(_take_log, _named(tree(item, cast.known(item) or cast)))
    finally:
        await asyncio.to_thread(items.close)
    yield told


async def _check(path: Path, form: str, cast: Cast) -> None:
    """That it can be known who is who, before anything is kept. Raises: SpeakersUnknown, Refused."""
    found = await asyncio.to_thread(guess, path, form)
    names = {each.casefold() for each in found.participants}
    chosen = {each.strip().casefold() for each in (cast.me, cast.assistant) if each}
    if found.participants and not (chosen & names or (not chosen and found.owner)):
        raise SpeakersUnknown(str(path), tuple(found.participants[:NAMES]))


def _named(found: Tree) -> Tree:
    return replace(found, thread=replace(found.thread, title=title_from(found.thread.title)))


def _take_log(db: sqlite3.Connection, found: Tree) -> Imported:
    return Imported(*logs.take(db, found))


def _take_own(db: sqlite3.Connection, found: Tree) -> Imported:
    found = _named(found)
    if (here := trees.known(db, found)) is not None:
        return Imported(threads.get(db, here), new=False)
    return Imported(threads.get(db, trees.add(db, found)), new=True)
