"""Giving states away and taking them in."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from engine.durable import into_place, link_into_place
from engine.errors import (
    FileInTheWay,
    InvalidRequest,
    StateCorrupt,
    StateMissing,
    UnsupportedFormat,
    WeightsCorrupt,
)
from engine.types import FeedRequest, InitialRequest, Inspected, Registered, StateKey
from rwkv_chat.library import initials, states, threads
from rwkv_chat.library.initials import Initial
from rwkv_chat.library.states import MadeState, StoredPersona
from rwkv_chat.session import jobs, state_files
from rwkv_chat.session.adapter_files import give_adapter
from rwkv_chat.session.apart import apart
from rwkv_chat.session.capsule_files import is_capsule
from rwkv_chat.session.errors import StateFileInvalid
from rwkv_chat.session.made_states import key_of
from rwkv_chat.session.shelf_convert import STATE_FORMS, format_of, given_state
from rwkv_chat.session.state_types import Confirmed, Shared
from rwkv_chat.session.steps import steps
from rwkv_chat.session.titles import title_from

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable

    from engine.types import Prefilled, TokenIds
    from rwkv_chat.session.answering import Desk

SAFETENSORS = (".safetensors",)
# largest relative difference of a tensor between two readings of the same tokens, by tier: fp32 differs by
# the order of sums alone; in the others every step rounds, on another machine another way
AGREE = {"fp32": 1e-3}
AGREE_ROUNDED = 0.1


class Sharing:
    """States as files. All of it raises LibraryError."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._library, self._engine = desk, desk.library, desk.engine
        self._folder = desk.initials.folder

    async def export(self, persona_id: str, path: Path) -> Shared:
        """Raises: StateMissing, FileInTheWay, EngineError, OSError; InvalidRequest: a name without a form."""
        found = await self._library.run(states.get, persona_id)
        if found.kind in ("tuned", "adapter"):
            return await self._export_trained(found, path)
        for state in found.states:
            file = self._engine.file(key_of(state))
            if (
                state.model
                and not state.initial
                and not state.adapter
                and await asyncio.to_thread(file.is_file)
            ):
                key = key_of(state)
                data = await asyncio.to_thread(state_files.given_away, file, key, found, state)
                await asyncio.to_thread(put_beside, path, lambda data=data: data)
                return Shared(str(path), len(data), len(found.said), 1)
        raise StateMissing("")

    async def _export_trained(self, persona: StoredPersona, path: Path) -> Shared:
        """A tuned state in the form that the file's name tells, or an adapter as a new folder."""
        if not persona.states:
            raise StateMissing("")
        state = persona.states[0]
        if state.adapter:
            await asyncio.to_thread(give_adapter, await self._desk.adapters.path(state.adapter), path)
        else:
            initial = await self._library.run(initials.get, state.initial)
            if initial is None or not initial.files:
                raise StateMissing("")
            await give_tuned(self._folder / initial.files[0], path)
        return Shared(str(path), await asyncio.to_thread(nbytes, path), 0, 1)

    async def take(self, path: Path) -> StoredPersona:
        """A persona from a file; one that is here already is given as it is.

        Raises:
            StateFileInvalid: it is no state.  OSError.
            EngineError: it is a tuned one of a model of another size than the one in use.
        """
        if await asyncio.to_thread(path.is_dir):
            raise StateFileInvalid(str(path), "folder")
        try:
            return await self._taken(path)
        except (StateCorrupt, UnsupportedFormat, WeightsCorrupt) as error:
            if error.path != str(path):  # of the model in use
                raise
            known = "unknown" if isinstance(error, UnsupportedFormat) else "damaged"
            hint = "capsule" if await asyncio.to_thread(is_capsule, path) else known
            raise StateFileInvalid(str(path), hint) from error

    async def _taken(self, path: Path) -> StoredPersona:
        taken = None
        if path.suffix.lower() in SAFETENSORS:
            try:
                taken = await asyncio.to_thread(state_files.taken, path)
            except StateCorrupt as error:
                if error.reason != "header":
                    raise
        if taken is None:
            return await self._tuned(path)
        if (here := await self._library.run(_begun_from, taken.initial.id)) is not None:
            return here
        await asyncio.to_thread(self._keep, taken.initial.files[0], lambda: taken.file)
        persona = replace(
            taken.persona, id=threads.new_id(), name=title_from(taken.persona.name) or path.stem
        )
        return await self._library.run(states.add, persona, (taken.initial,))

    async def _tuned(self, path: Path) -> StoredPersona:
        """An initial state from training, of the model in use or of another of its size."""
        if not await asyncio.to_thread(path.exists):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        await self._desk.models.identified()
        ready = await jobs.outcome(self._engine.register(InitialRequest(str(path))), Registered)
        if (here := await self._library.run(_begun_from, ready.id)) is not None:
            return here
        name = f"{ready.id}{path.suffix.lower()}"
        await asyncio.to_thread(self._keep, name, path.read_bytes)
        made = Initial(ready.id, "tuned", (name,), path.stem)
        state = MadeState("", "", "", "", "", (), initial=ready.id)
        persona = StoredPersona(threads.new_id(), title_from(path.stem), "tuned", states=(state,))
        return await self._library.run(states.add, persona, (made,))

    def _keep(self, name: str, data: Callable[[], bytes]) -> None:
        """A file among those from outside, unless it is there; its name says what is in it."""
        target = self._folder / name
        if not target.exists():
            put_beside(target, data)

    # ------------------------------------------------------------------ confirming

    async def confirm(self, initial: Initial, tokens: TokenIds) -> AsyncIterator[Prefilled | Confirmed]:
        """Has the model in use read what a state from outside is said to have read, and compares: progress,
        and last the outcome. Where they agree, all that began from it begins from what was read here.

        Raises:
            EngineError: it is of another model, or could not be read.
        """
        speaker = await self._desk.models.identified()
        await self._desk.initials.make_ready(initial.id, speaker)
        key: StateKey | None = None
        request = FeedRequest(tokens[: initial.length])
        async for event in jobs.read(await self._desk.adapters.submit(request)):
            if isinstance(event, StateKey):
                key = event
            else:
                yield event
        if key is None or key.prefix != initial.prefix:
            raise StateMissing(initial.prefix)
        paths = self._folder / initial.files[0], self._engine.file(key)
        seen = await jobs.outcome(self._engine.inspect(*paths), Inspected)
        difference = float("inf") if seen.difference is None else seen.difference
        same_tier = initial.tier == key.tier
        agrees = difference <= (AGREE.get(key.tier, AGREE_ROUNDED) if same_tier else AGREE_ROUNDED)
        await self._library.run(initials.found_difference, initial.id, difference)
        if agrees:
            await self._library.run(initials.trust, initial.id)
            await self.drop_unneeded()
        yield Confirmed(agrees, difference, key)

    async def drop_unneeded(self) -> None:
        """Delete the files of states from outside that nothing begins from any more."""
        for each in await self._library.run(initials.unneeded):
            await self._library.run(initials.remove, each.id)
            await asyncio.to_thread(self._delete, each.files)

    def _delete(self, files: tuple[str, ...]) -> None:
        for each in files:
            if Path(each).name == each:  # else it lies where a person put it
                (self._folder / each).unlink(missing_ok=True)


async def give_tuned(source: Path, target: Path) -> None:
    """A tuned state in the form that the target's name tells; a process of its own writes it.

    Raises: EngineError.
    """
    form = STATE_FORMS.get(format_of(target) or "")
    if form is None:
        raise InvalidRequest(f"{target.suffix or target.name}: no form of a tuned state")
    async for _ in steps(lambda stop: apart(given_state, source, target, form, stop=stop)):
        pass


def nbytes(path: Path) -> int:
    """Of a file, or of the files of a folder."""
    return sum(each.stat().st_size for each in ([path] if path.is_file() else path.iterdir()))


def put_beside(path: Path, data: Callable[[], bytes]) -> None:
    """See `new_file`."""
    new_file(path, lambda file: file.write(data()))


def new_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """A new file, whole and for good; nothing is ever overwritten. Raises: FileInTheWay, OSError."""
    if path.exists():
        raise FileInTheWay(str(path))
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name[:50]}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        try:
            link_into_place(part, path)
        except FileExistsError as error:
            raise FileInTheWay(str(path)) from error
        except OSError:  # a disk without hard links
            into_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def _begun_from(db: sqlite3.Connection, id_: str) -> StoredPersona | None:
    """The persona that is this state from outside."""
    found = (each for each in states.listed(db) if each.kind != "lived")
    return next((each for each in found if any(of.initial == id_ for of in each.states)), None)
