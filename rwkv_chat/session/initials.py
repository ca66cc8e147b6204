"""The states that conversations begin from, other than nothing: made ready before they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.types import InitialRequest, Registered
from rwkv_chat.library import initials
from rwkv_chat.session import jobs
from rwkv_chat.session.errors import InitialGone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from rwkv_chat.library.database import Library
    from rwkv_chat.session.border import EngineLike
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.transcript import Thread

READY = 4  # of states from outside the engine keeps the last few


class Initials:
    """States from outside: one file each in a folder of their own, by the engine's id.

    Attributes:
        folder: where they lie.
    """

    def __init__(
        self,
        library: Library,
        engine: EngineLike,
        folder: Path,
        identified: Callable[[], Awaitable[Speaker]],
        tuned: Callable[[], Path | None],
    ) -> None:
        """`identified`: the model in use, when its id is known.  `tuned`: the file of the tuned state that
        was chosen for this run.
        """
        self.folder = folder
        self._identified, self._tuned = identified, tuned
        self._library, self._engine = library, engine
        self._speaker: Speaker | None = None
        self._ready: list[str] = []

    async def of(self, thread: Thread, speaker: Speaker) -> str:
        """What a conversation's chain begins from with this model, by the engine's id; "" for nothing.

        Raises:
            EngineError: it is of another model, or damaged.  InitialGone.
        """
        found = await self._library.run(initials.get, thread.initial) if thread.initial else None
        if found is not None and found.kind == "snapshot":
            id_ = speaker.info.id or (await self._identified()).info.id
            if found.model != id_:  # the model in use reads the text itself
                return speaker.initial
        if not thread.initial:
            return speaker.initial
        await self.make_ready(thread.initial, speaker)
        return thread.initial

    async def lasting(self, thread: Thread, speaker: Speaker) -> str:
        """The same, for something that outlives this run: a tuned state that was chosen for it is noted down.

        Raises: see `of`.
        """
        id_ = await self.of(thread, speaker)
        if id_ and id_ != thread.initial and self._tuned() is not None:
            made = initials.Initial(id_, "tuned", (str(self._tuned()),))
            await self._library.run(initials.add, made)
        return id_

    async def make_ready(self, id_: str, speaker: Speaker) -> None:
        """Raises: see `of`."""
        if speaker is not self._speaker:
            self._speaker, self._ready = speaker, []
        if id_ in self._ready:
            return
        found = await self._library.run(initials.get, id_)
        if found is None:
            raise InitialGone(id_)
        form = "snapshot" if found.kind == "snapshot" else None
        for file in found.files:
            request = InitialRequest(str(self.folder / file), form, id_)
            await jobs.outcome(self._engine.register(request), Registered)
        self._ready = [*self._ready, id_][-READY:]
