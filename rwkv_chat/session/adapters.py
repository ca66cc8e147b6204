"""The adapters that conversations speak with: each lies in a folder of its own, by the engine's id, and is in
the model while something of its conversation is asked for.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, ModelNotLoaded, WeightsCorrupt, WorkerDied
from engine.types import Adapted, AdaptRequest
from rwkv_chat.library import adapters
from rwkv_chat.session import jobs
from rwkv_chat.session.adapter_files import within
from rwkv_chat.session.errors import AdapterGone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from engine.types import FeedRequest, GenerateRequest, ScoreRequest
    from rwkv_chat.library.database import Library
    from rwkv_chat.session.border import EngineLike, JobLike
    from rwkv_chat.session.speaker import Speaker
    from rwkv_chat.transcript import Thread


class Adapters:
    """One adapter, or none, is in the model at a time. Whoever asks for something names the one that is
    meant; nothing comes between the change and the request.

    Attributes:
        folder: where they lie.
    """

    def __init__(
        self,
        library: Library,
        engine: EngineLike,
        folder: Path,
        identified: Callable[[], Awaitable[Speaker]],
        in_use: Callable[[], Speaker | None],
    ) -> None:
        """`identified`: the model in use, when its id is known.  `in_use`: the one that is loaded."""
        self.folder = folder
        self._library, self._engine = library, engine
        self._identified, self._in_use = identified, in_use
        self._lock = asyncio.Lock()
        self._tried: dict[str, str] = {}  # by id, where those lie that are not in the library
        self._speaker: Speaker | None = None
        self._now: str | None = ""  # None: nobody knows

    async def of(self, thread: Thread, speaker: Speaker) -> str:
        """What a conversation speaks with, with this model: its adapter if that was made for the model, else
        "".

        Raises:
            AdapterGone.
        """
        return await self.fitting(thread.adapter, speaker)

    async def fitting(self, id_: str, speaker: Speaker) -> str:
        """The same of an adapter by its id, "" for none."""
        if not id_:
            return ""
        found = await self._library.run(adapters.find, id_)
        if found is None:
            raise AdapterGone(id_)
        model = speaker.info.id or (await self._identified()).info.id
        return id_ if found.model == model else ""

    async def submit(
        self, request: GenerateRequest | FeedRequest | ScoreRequest, adapter: str = ""
    ) -> JobLike:
        """Ask the engine for something that this adapter ("" for none) answers.

        Raises:
            EngineError: it cannot be put into the model; the one before stays.  AdapterGone.
            ModelNotLoaded: another model was chosen while this waited.
        """
        async with self._in_force(adapter):
            return self._engine.submit(request)

    @asynccontextmanager
    async def _in_force(self, id_: str) -> AsyncIterator[None]:
        """What is asked for inside is answered with this adapter: the engine works in order."""
        speaker = self._in_use()
        async with self._lock:
            self._same(speaker)
            if speaker is not self._speaker:  # loaded anew; what was asked of the one before may have met it
                self._speaker, self._now = speaker, None if self._now != "" else ""
            if id_ != self._now:
                await self._switch(id_)
                self._same(speaker)
            yield

    def _same(self, speaker: Speaker | None) -> None:
        """Tokens of one model mean nothing to another. Raises: ModelNotLoaded."""
        if self._in_use() is not speaker:
            raise ModelNotLoaded

    async def _switch(self, id_: str) -> None:
        path = await self._source(id_)
        before, self._now = self._now, None
        try:
            done = await jobs.outcome(self._engine.adapt(AdaptRequest(path)), Adapted)
        except EngineError as error:
            if not isinstance(error, ModelNotLoaded | WorkerDied):
                self._now = before
            raise
        self._now = done.info.adapter
        if self._now != id_:
            raise WeightsCorrupt(path or "", "adapter", id_, self._now)

    async def try_on(self, path: Path) -> str:
        """Put an adapter from anywhere into the model in use; the id by which it can be asked for, until this
        program ends.

        Raises:
            EngineError: it cannot be read, or is for another model.
        """
        async with self._lock:
            self._speaker, self._now = self._in_use(), None
            done = await jobs.outcome(self._engine.adapt(AdaptRequest(str(path))), Adapted)
            self._now = done.info.adapter
            self._tried[done.info.adapter] = str(path)
            return done.info.adapter

    async def _source(self, id_: str) -> str | None:
        if not id_:
            return None
        return self._tried[id_] if id_ in self._tried else str(await self.path(id_))

    async def path(self, id_: str) -> Path:
        """Where one of the library lies. Raises: AdapterGone."""
        found = await self._library.run(adapters.find, id_)
        if found is None:
            raise AdapterGone(id_)
        return await asyncio.to_thread(within, self.folder / found.file)

    # ------------------------------------------------------------------ files

    async def drop_unneeded(self) -> None:
        """Delete adapters that no persona names and no conversation speaks with."""
        for each in await self._library.run(adapters.unneeded):
            await self._library.run(adapters.remove, each.id)
            await asyncio.to_thread(self._delete, each.file)

    def _delete(self, name: str) -> None:
        if not name or Path(name).name != name:
            return  # no name that we gave
        path = self.folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
