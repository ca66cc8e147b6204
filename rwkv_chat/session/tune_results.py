"""What a run has made: tried beside the model it came from, and kept in the library of states."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import FileInTheWay
from engine.types import InitialRequest, Registered
from rwkv_chat.library import adapters, branches, nodes, states, threads
from rwkv_chat.library.adapters import StoredAdapter
from rwkv_chat.library.initials import Initial
from rwkv_chat.library.states import MadeState, StoredPersona
from rwkv_chat.session import jobs
from rwkv_chat.session.adapter_files import keep_adapter
from rwkv_chat.session.errors import TuneIsModel, TuneNotDone, TuneOfOtherModel, TuneRuns
from rwkv_chat.session.sharing import put_beside
from rwkv_chat.session.titles import title_from
from rwkv_chat.session.tune_folder import read_about, result_of
from rwkv_chat.session.tune_types import Voice

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from rwkv_chat.session.answering import Desk
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.session.tune_runs import Runs
    from rwkv_chat.session.tune_types import Tune
    from rwkv_chat.transcript import Thread

ADAPTERS = ("lora", "pissa", "miss")


@dataclass(frozen=True, slots=True)
class Tried:
    """A result that the model in use can speak with: the ids of the engine, "" for none."""

    initial: str = ""
    adapter: str = ""


class Results:
    """All of it raises LibraryError, EngineError, SessionError, OSError."""

    def __init__(self, desk: Desk, runs: Runs) -> None:
        self._desk, self._library, self._runs = desk, desk.library, runs

    async def result(self, tune: Tune) -> Path:
        """Where its result lies. Raises: TuneRuns, TuneNotDone, TuneDamaged."""
        if tune.running:
            raise TuneRuns(tune.name)
        told = await asyncio.to_thread(self._runs.told, tune.id)
        named = getattr(told.ended, "result", "")
        if not tune.done or not named:
            raise TuneNotDone(tune.name)
        return await asyncio.to_thread(result_of, tune.folder, named)

    async def speaker(self, tune: Tune) -> Speaker:
        """The model in use, if it is the one that was tuned. Raises: TuneOfOtherModel."""
        speaker = await self._desk.models.identified()
        if speaker.info.id != tune.model_id:
            raise TuneOfOtherModel(tune.name, tune.model_name)
        return speaker

    async def tried(self, tune: Tune) -> Tried:
        """The result, ready to be asked. Raises: see `result`, `speaker`; TuneIsModel."""
        path = await self.result(tune)
        await self.speaker(tune)
        if tune.method in ADAPTERS:
            return Tried(adapter=await self._desk.adapters.try_on(path))
        if tune.method != "state":
            raise TuneIsModel(tune.name)
        request = InitialRequest(str(path))
        return Tried(initial=(await jobs.outcome(self._desk.engine.register(request), Registered)).id)

    # ------------------------------------------------------------------ keeping

    async def keep(self, tune: Tune, name: str) -> StoredPersona:
        """The result as a persona; one that is here already is given as it is."""
        path, tried = await self.result(tune), await self.tried(tune)
        if (here := await self._library.run(_persona_of, tried)) is not None:
            return here
        speaker = await self.speaker(tune)
        about = await asyncio.to_thread(read_about, tune.folder)
        named = title_from(name or tune.name)
        state = MadeState("", "", "", "", "", (), adapter=tried.adapter, initial=tried.initial)
        persona = StoredPersona(
            id=threads.new_id(),
            name=named,
            kind="adapter" if tried.adapter else "tuned",
            template="" if about.template == speaker.template.name else about.template,
            sources=about.trees,
            states=(state,),
        )
        if tried.initial:
            return await self._keep_state(path, persona, tried.initial)
        with suppress(FileInTheWay):  # it is there already: its name is what is in it
            await asyncio.to_thread(keep_adapter, path, self._desk.adapters.folder / tried.adapter)
        made = StoredAdapter(tried.adapter, tune.method, tried.adapter, named, tune.model_id, tune.model_name)
        return await self._library.run(adapters.add, made, persona)

    async def _keep_state(self, path: Path, persona: StoredPersona, id_: str) -> StoredPersona:
        file = f"{id_}{path.suffix.lower()}"
        target = self._desk.initials.folder / file
        if not await asyncio.to_thread(target.exists):
            await asyncio.to_thread(put_beside, target, path.read_bytes)
        made = Initial(id_, "tuned", (file,), persona.name)
        return await self._library.run(states.add, persona, (made,))

    async def voices(self) -> tuple[Voice, ...]:
        return await self._library.run(_voices)

    async def open_on(self, thread_id: str, persona: StoredPersona) -> Thread:
        """A conversation beside another one, at the same message, that speaks with a result."""
        return await self._library.run(_beside, thread_id, persona)


def _voices(db: sqlite3.Connection) -> tuple[Voice, ...]:
    found = (each for each in states.listed(db) if each.kind in ("tuned", "adapter") and each.states)
    return tuple(Voice(each.id, each.name, each.states[0].adapter, each.states[0].initial) for each in found)


def _persona_of(db: sqlite3.Connection, tried: Tried) -> StoredPersona | None:
    for each in states.listed(db):
        made = {(of.initial, of.adapter) for of in each.states}
        if each.kind in ("tuned", "adapter") and (tried.initial, tried.adapter) in made:
            return each
    return None


def _beside(db: sqlite3.Connection, thread: str, persona: StoredPersona) -> Thread:
    found = threads.get(db, thread)
    tip, state = nodes.tip(db, thread), persona.states[0]
    title = title_from(f"{found.title} · {persona.name}")
    made = threads.create(db, title) if tip is None else branches.fork(db, thread, tip, title)
    return adapters.speak_with(db, made.id, state.adapter, state.initial)
