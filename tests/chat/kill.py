"""kill -9 at random moments of a chat script: `python -m tests.chat.kill MODEL FOLDER COUNT SEED`.

One process imports torch once and forks a child for each kill. A child chats in several conversations at a
time (sends, stops, regenerates, deletes, brings back, works with the tree) and notes down what its session
told it; after the kill another child looks whether all of that is there, and whether going on with the saved
states equals going on without any.

Prints one JSON object: what was done, and every fault found.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rwkv_chat.library import health, nodes, threads
from rwkv_chat.library.database import connect
from rwkv_chat.paths import Paths
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
from rwkv_chat.session.reply import parse
from rwkv_chat.settings import THINK_MODES
from tests.chat.real import GREEDY, ask, open_real, told

if TYPE_CHECKING:
    from rwkv_chat.templates import Template
    from rwkv_chat.transcript import Node

PEOPLE = 3
ROUND = 8  # kills in one home, each on what the one before left
LONGEST_LIFE = 3.0  # seconds; loading takes the first 0.1 to 0.3
LENGTHS = (20, 5_000)  # tokens of a reply: soon over, or still growing at the end
GROWTH_SECONDS = 0.1  # so that short lives hold many writes; the promise tested is then 0.1 s and some slack
SLACK = 1.4  # on a machine with more work than cores a write was once seen to come 1 s late
WORDS = ("state", "müde", "漢字", "a\n\nb", "User: me", "👩‍🚀", "why?", "<think>", "and then")


# -------------------------------------------------------------------------------- the chat that is killed


class Notes:
    """What the session said happened, one JSON line each; a killed process's writes stay."""

    def __init__(self, home: Path) -> None:
        self.turns = itertools.count()
        self._file = os.open(home / "notes.jsonl", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, kind: str, **values: Any) -> None:
        line = {"kind": kind, "at": time.monotonic(), **values}
        os.write(self._file, json.dumps(line).encode() + b"\n")


async def chat(home: Path, model: Path, seed: int) -> None:
    writing.GROWTH_SECONDS = GROWTH_SECONDS
    session = await open_real(home, model)
    notes = Notes(home)
    await asyncio.gather(*(_person(session, notes, random.Random(seed * 10 + n)) for n in range(PEOPLE)))


async def _person(session: Session, notes: Notes, rng: random.Random) -> None:
    while True:
        known = await session.chats.threads()
        thread = rng.choice(known).id if known and rng.random() < 0.8 else None
        try:
            await _act(session, notes, rng, thread)
        except SessionError:
            await asyncio.sleep(0.01)  # somebody else is speaking there


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
            await _listen(chats.send(thread, text, params, begin=rng.choice(WORDS)), notes, rng)
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


# -------------------------------------------------------------------------------- the look at what is left


class Look:
    """What is found after a kill."""

    def __init__(self, home: Path, model: Path) -> None:
        self.home, self.model = home, model
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()

    async def everything(self) -> None:
        with closing(connect(Paths.under(self.home).database)) as db:
            self.faults += health.examine(db).faults
            kept = {
                row["id"]: dict(row) for row in db.execute("SELECT id, parent, text, reasoning FROM nodes")
            }
            alive = threads.alive(db)
            self._opens(db, alive)
        self._acknowledged(kept)
        self._shown(kept)
        for thread in {each.id: each for each in (*alive[:1], *alive[-2:])}.values():
            await self._goes_on(thread.id)

    def _opens(self, db: Any, alive: tuple) -> None:
        for thread in alive:
            path = nodes.path(db, thread.tip)
            if (path and path[0].node.parent is not None) or (thread.tip and not path):
                self.faults.append(f"conversation {thread.id} has no beginning")

    def _acknowledged(self, kept: dict[str, dict]) -> None:
        for note in _notes(self.home):
            if note["kind"] in ("committed", "answered"):
                self.counts[note["kind"]] += 1
                row = kept.get(note["node"])
                if (
                    row is None
                    or row["text"] != note["text"]
                    or row["reasoning"] != note.get("reasoning", "")
                ):
                    self.faults.append(f"{note['kind']} {note['node']} is not what was acknowledged")

    def _shown(self, kept: dict[str, dict]) -> None:
        """Whatever was on the screen a second before the kill is in some reply to that message."""
        replies: dict[str, list[dict]] = {}
        for row in kept.values():
            replies.setdefault(row["parent"], []).append(row)
        for asked, text, reasoning in _old_enough(_notes(self.home)):
            self.counts["shown"] += 1
            found = replies.get(asked, []) + replies.get(kept.get(asked, {}).get("parent", ""), [])
            if not any(_holds(row, text, reasoning) for row in found):
                self.faults.append(f"shown in reply to {asked} and lost: {text[:40]!r}")

    async def _goes_on(self, thread: str) -> None:
        """With the states that are left and without any: the same reply, on the same tokens."""
        both = [await self._continued(thread, states=True), await self._continued(thread, states=False)]
        self.counts["continued"] += 1
        if both[0] != both[1]:
            self.faults.append(f"conversation {thread}: resumed and rebuilt differ")

    async def _continued(self, thread: str, *, states: bool) -> tuple:
        copy = self.home.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.home, copy)
        if not states:
            shutil.rmtree(Paths.under(copy).states, ignore_errors=True)
        session = await open_real(copy, self.model)
        end = await ask(session, thread, "and now?", GREEDY)
        if states and end.usage is not None:
            self.counts[f"start {end.usage.source}"] += 1
        path = await told(session, thread)
        await self._reads_as_stored(session, path)
        await session.close()
        return path.tokens

    async def _reads_as_stored(self, session: Session, path: Any) -> None:
        """The tokens of every reply say what its text says, with its thoughts or without."""
        speaker = await session.models.speaking()
        for node in path.nodes:
            if node.message.role == "assistant" and node.tokens is not None:
                raw = speaker.tokenizer.decode_bytes(node.tokens or ()).decode("utf-8", "replace")
                self.counts["thinking replies"] += node.mode not in ("", "none")
                fits = (_is_kept, _is_plain, _is_written, _goes_on)
                if not any(each(speaker.template, node, raw) for each in fits):
                    self.faults.append(f"reply {node.id}: {raw!r} is not {node.message!r} ({node.mode})")


def _is_kept(template: Template, node: Node, raw: str) -> bool:
    """The tokens are the way to think and all that was drawn."""
    mode = template.mode(node.mode)
    reasoning, text = parse(template, raw.removeprefix(mode.tail), mode)
    said = node.message
    return raw.startswith(mode.tail) and (text.rstrip("\ufffd"), reasoning.rstrip("\ufffd")) == (
        said.text.rstrip("\ufffd"),
        said.reasoning.rstrip("\ufffd"),
    )


def _is_plain(template: Template, node: Node, raw: str) -> bool:
    """The tokens are the answer's plain form, since its thoughts were forgotten."""
    text = node.message.text
    thought = bool(node.message.reasoning) or bool(template.mode(node.mode).tail)
    return thought and raw == (template.render("assistant", text, first=False) if text else "")


def _is_written(template: Template, node: Node, raw: str) -> bool:
    """A person wrote it in the model's place."""
    return not node.model and raw == template.render("assistant", node.message.text, first=False)


def _goes_on(template: Template, node: Node, raw: str) -> bool:
    """After an answer in its plain form, what was drawn: the space between is the template's matter."""
    mode = template.mode(node.mode)
    whole, said = ("".join(each.split()).replace("\ufffd", "") for each in (raw, node.message.text))
    return node.origin is not None and bool(mode.tail or node.message.reasoning) and whole == said


def _notes(home: Path) -> list[dict]:
    file = home / "notes.jsonl"
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def _old_enough(notes: list[dict]) -> list[tuple[str, str, str]]:
    """(message, text, reasoning) of every reply as it stood on the screen a while before its life's end."""
    found: list[tuple[str, str, str]] = []
    life: dict[str, dict] = {}
    for note in notes:
        if note["kind"] == "shown":
            life.setdefault(note["turn"], {"asked": note["asked"], "pieces": []})["pieces"].append(note)
        elif note["kind"] == "killed":
            found += [_screen(each, note["at"] - GROWTH_SECONDS - SLACK) for each in life.values()]
            life = {}
    return [each for each in found if each[1] or each[2]]


def _screen(turn: dict, until: float) -> tuple[str, str, str]:
    pieces = [each for each in turn["pieces"] if each["at"] <= until]
    answer, reasoning = (
        "".join(each["text"] for each in pieces if each["part"] == part) for part in ("answer", "reasoning")
    )
    return turn["asked"], answer, reasoning


def _holds(row: dict, text: str, reasoning: str) -> bool:
    return row["text"].startswith(text) and row["reasoning"].startswith(reasoning)


# -------------------------------------------------------------------------------- the one that kills


def run(model: Path, folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` kills; the counts and every fault found."""
    rng, faults, counts = random.Random(seed), [], Counter()
    for place in range(count):
        home = folder / f"home{place // ROUND}"
        home.mkdir(parents=True, exist_ok=True)
        _live_and_die(home, model, rng)
        report = _look(home, model)
        counts.update(report["counts"])
        faults += [f"kill {place}: {each}" for each in report["faults"]]
        if place % ROUND == ROUND - 1:
            shutil.rmtree(home)
    return {"kills": count, "faults": faults, **counts}


def _live_and_die(home: Path, model: Path, rng: random.Random) -> None:
    life, seed = rng.uniform(0.02, LONGEST_LIFE), rng.randrange(2**31)
    child = os.fork()
    if child == 0:
        _leave(lambda: asyncio.run(chat(home, model, seed)))
    time.sleep(life)
    Notes(home).write("killed")
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError("the chat script ended by itself")


def _look(home: Path, model: Path) -> dict[str, Any]:
    """In a child too: this process stays without threads, so that it can be forked."""
    result = home.with_name("report.json")
    result.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _leave(lambda: result.write_text(json.dumps(_looked(home, model))))
    _, status = os.waitpid(child, 0)
    if status:
        return {"counts": {}, "faults": ["the look itself failed"]}
    return json.loads(result.read_text())


def _looked(home: Path, model: Path) -> dict[str, Any]:
    look = Look(home, model)
    asyncio.run(look.everything())
    return {"counts": look.counts, "faults": look.faults}


def _leave(work: Any) -> None:
    """Run a child's work and end it without the parent's clean-up."""
    try:
        work()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    import torch

    torch.set_num_threads(1)
    model, folder, count, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    print(json.dumps(run(model, folder, count, seed)))


if __name__ == "__main__":
    main()
