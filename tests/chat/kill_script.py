"""The chat that is killed (`tests.chat.kill`): a few people do at random whatever can be done, and note down
what their session told them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rwkv_chat.library import backup, copying
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.session import (
    Answered,
    Committed,
    Reading,
    ReplyEnded,
    ReplyGrew,
    Session,
    SessionError,
    Turn,
    writing,
)
from rwkv_chat.settings import THINK_MODES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

PEOPLE = 3
LENGTHS = (20, 5_000)  # tokens of a reply: soon over, or still growing at the end
GROWTH_SECONDS = 0.1  # so that short lives hold many writes; the promise tested is then 0.1 s and some slack
COPIED_AT_ONCE = 1  # message, so that a kill falls between the parts of a copy
WORDS = ("state", "müde", "漢字", "a\n\nb", "User: me", "👩‍🚀", "why?", "<think>", "and then")
BEGIN = ("state", "müde", "漢字", "and then")  # a tag would be read as thoughts: the text then lacks it
TAKEN_IN = "Taken in"
ERASED = "To be erased"  # title of conversations that only their maker touches


# -------------------------------------------------------------------------------- what is noted


class Notes:
    """What the session said happened, one JSON line each; a killed process's writes stay."""

    def __init__(self, home: Path) -> None:
        self.turns = itertools.count()
        self._file = os.open(home / "notes.jsonl", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, kind: str, **values: Any) -> None:
        line = {"kind": kind, "at": time.monotonic(), "life": os.getpid(), **values}
        os.write(self._file, json.dumps(line).encode() + b"\n")


# -------------------------------------------------------------------------------- what is done


async def chat(home: Path, opening: Callable[[], Awaitable[Session]], seed: int) -> None:
    """Never ends. `opening`: of a session on `home`."""
    writing.GROWTH_SECONDS = GROWTH_SECONDS
    copying.AT_ONCE = COPIED_AT_ONCE
    session = await opening()
    notes = Notes(home)
    await asyncio.gather(*(_person(session, notes, random.Random(seed * 10 + n)) for n in range(PEOPLE)))


async def _person(session: Session, notes: Notes, rng: random.Random) -> None:
    while True:
        known = [each for each in await session.chats.threads() if not each.title.startswith(ERASED)]
        thread = rng.choice(known).id if known and rng.random() < 0.8 else None
        try:
            if rng.random() < 0.15:
                await _keep_house(session, notes, rng, thread)
            else:
                await _act(session, notes, rng, thread)
        except (SessionError, LibraryError):
            await asyncio.sleep(0.01)  # somebody else is speaking there, or took it away


async def _act(session: Session, notes: Notes, rng: random.Random, thread: str | None) -> None:
    params = replace(session.sampling, bans=(0,), max_tokens=rng.choice(LENGTHS))
    choice = rng.random()
    if thread is not None and rng.random() < 0.4:
        await _change_the_tree(session, notes, rng, thread)
        return
    if thread is not None and rng.random() < 0.3:
        keep = rng.random() < 0.3
        await session.chats.configure(thread, mode=rng.choice(THINK_MODES), keep_reasoning=keep)
    if thread is None or choice < 0.6:
        await _listen(session.chats.send(thread, " ".join(rng.choices(WORDS, k=3)), params), notes, rng)
    elif choice < 0.8:
        await _listen(session.chats.regenerate(thread, params), notes, rng)
    elif choice < 0.9:
        if (turn := await session.chats.answer_pending(thread)) is not None:
            await _listen(turn, notes, rng)
    else:
        await session.chats.delete(thread)
        await session.chats.restore(thread)


async def _keep_house(session: Session, notes: Notes, rng: random.Random, thread: str | None) -> None:
    """Whatever works on the whole library."""
    paths = session.paths
    match rng.randrange(5):
        case 0 | 1 if thread is not None:
            await _take_in(session, notes, rng, thread)
        case 2:
            await session.states.thin()
            notes.write("thinned")
        case 3:
            await asyncio.to_thread(backup.make, paths.database, paths.backups)
            notes.write("copied")
        case 4:
            await _erase(session, notes, rng)


async def _take_in(session: Session, notes: Notes, rng: random.Random, thread: str) -> None:
    """A conversation written as JSON, and taken in again under another title."""
    file = session.paths.data.parent / f"out-{next(notes.turns)}.json"
    await session.convs.export([thread], "json", file)
    found = json.loads(file.read_text("utf-8"))
    found["conversations"][0]["title"] = f"{TAKEN_IN} {rng.randrange(2**40)}"
    file.write_text(json.dumps(found), "utf-8")
    for each in await session.convs.import_(file):
        number = len(found["conversations"][0]["messages"])
        notes.write("imported", thread=each.thread.id, messages=number)


async def _erase(session: Session, notes: Notes, rng: random.Random) -> None:
    """A conversation of one's own, said and erased."""
    number = rng.randrange(2**40)
    turn = session.chats.send(None, f"{ERASED} {number}", replace(session.sampling, max_tokens=20, bans=(0,)))
    await turn.result()
    notes.write("erasing", text=f"{ERASED} {number}")
    await session.convs.erase(turn.thread)
    notes.write("erased", text=f"{ERASED} {number}")


async def _change_the_tree(session: Session, notes: Notes, rng: random.Random, thread: str) -> None:
    """Whatever works on a tree, at a message of the conversation."""
    told = (await session.convs.tree(thread)).nodes
    if not told:
        return
    node, params = rng.choice(told).id, replace(session.sampling, bans=(0,), max_tokens=rng.choice(LENGTHS))
    text, chats, branches = " ".join(rng.choices(WORDS, k=2)), session.chats, session.branches
    match rng.randrange(10):
        case 0 | 1:
            keep = rng.random() < 0.5
            changed = await branches.edit(thread, node, text, keep_following=keep, params=params)
            await _listen(changed, notes, rng)
        case 2:
            await _listen(chats.alternatives(thread, 3, params), notes, rng)
        case 3:
            await _listen(chats.continue_reply(thread, params), notes, rng)
        case 4:
            await _listen(chats.send(thread, text, params, begin=rng.choice(BEGIN)), notes, rng)
        case 5:
            await _listen(branches.refresh(thread, rng.randrange(3)), notes, rng)
        case 6:
            await branches.pin(node)
            await (branches.switch if rng.random() < 0.5 else branches.go)(thread, node)
        case 7:
            await branches.delete_branch(thread, (await branches.branch(thread, node)).tip or node)
        case 8:
            await branches.undo(thread)
            if rng.random() < 0.5:
                await branches.redo(thread)
        case 9:
            await _listen(chats.aside(thread, text, params), notes, rng)


async def _listen(turn: Turn | Reading, notes: Notes, rng: random.Random) -> None:
    stop_at = rng.choice((5, 40, 100_000))
    asked, number = "", next(notes.turns)
    async for event in turn:
        if isinstance(event, ReplyEnded) and event.node is not None:
            said = event.node.message
            notes.write("answered", node=event.node.id, text=said.text, reasoning=said.reasoning)
        if isinstance(event, Committed):
            asked = event.node.id
            said = event.node.message
            notes.write("committed", node=asked, text=said.text, reasoning=said.reasoning)
        elif isinstance(event, ReplyGrew):
            if asked:  # of an aside nothing is kept
                place = f"{number}.{event.index}"
                notes.write("shown", turn=place, asked=asked, part=event.part, text=event.text)
            if event.tokens >= stop_at:
                turn.stop()
        elif isinstance(event, Answered) and event.node is not None and event.node.id:
            said = event.node.message
            notes.write("answered", node=event.node.id, text=said.text, reasoning=said.reasoning)
