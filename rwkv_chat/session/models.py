"""Which model speaks, and whether it is ready.

Loading runs in the background from `start()`; whoever needs the model awaits `ready()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import EngineClosed, EngineError, Unexpected
from engine.types import (
    Cancelled,
    Failed,
    Identified,
    InitialRequest,
    Loaded,
    LoadNotice,
    LoadRequest,
    ModelInfo,
    Progress,
    Registered,
    TokenizerRef,
)
from rwkv_chat import templates
from rwkv_chat.paths import expanded
from rwkv_chat.session.cards import ModelCard, builtin
from rwkv_chat.session.errors import NotIdentified
from rwkv_chat.session.speaker import Speaker, mark_of, tokenizer_id
from rwkv_chat.unforeseen import begin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from engine.errors import WorkerDied
    from rwkv_chat.session.border import EngineLike, JobLike, LoadTokenizer, TokenizerLike
    from rwkv_chat.session.shelf import Shelf
    from rwkv_chat.settings_file import SettingsFile

__all__ = ["ModelCard", "Models"]

log = logging.getLogger(__name__)

LoadEvent = Progress | LoadNotice | Loaded | Failed


class Models:
    """The chosen model. `current` is known at once; nothing here loads torch.

    Attributes:
        tuned: the file of a tuned state that conversations begin from; read when a model is loaded.
        dtype: the form of the weights for this run; None for that of the settings.
    """

    def __init__(
        self,
        engine: EngineLike,
        card: ModelCard,
        settings: SettingsFile,
        load_tokenizer: LoadTokenizer,
        shelf: Shelf,
    ) -> None:
        self.current = card
        self.tuned: Path | None = None
        self.dtype: str | None = None
        self.speaker: Speaker | None = None
        self._engine, self._settings, self._load_tokenizer = engine, settings, load_tokenizer
        self._shelf = shelf
        self._naming: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Speaker] | None = None
        self._job: JobLike | None = None
        self._watchers: set[asyncio.Queue[LoadEvent]] = set()
        self._last: LoadEvent | None = None

    # ------------------------------------------------------------------ for front ends

    @property
    def info(self) -> ModelInfo | None:
        """The loaded model, None until it is ready."""
        return self.speaker.info if self.speaker else None

    def start(self) -> asyncio.Task[Speaker]:
        """Begin loading in the background; again after a failure; nothing new if it runs or is done."""
        loop = asyncio.get_running_loop()
        self._engine.on_death = lambda error: _soon(loop, self._died, error)
        if self._task is None or _failed(self._task):
            self._task = asyncio.get_running_loop().create_task(self._load(self.current))
            self._task.add_done_callback(_seen)
        return self._task

    async def ready(self) -> ModelInfo:
        """Wait for the model, loading it if nobody has begun. Raises: EngineError."""
        return (await self.speaking()).info

    async def use(self, path: Path | None) -> ModelCard:
        """Change to other weights, a file or a folder (None: the built-in guide), remember them on the
        shelf and in the settings, and begin to load them.

        Raises:
            EngineError: nothing is there, or no model, or it lacks its tokenizer; the model in use stays.
            LibraryError.
        """
        card = builtin() if path is None else await self._shelf.card(expanded(path), keep=True)
        await asyncio.to_thread(self._remember, card)
        self._abandon()
        self.current = card
        self.start()  # last: whoever asked for it hears of nothing that is loaded before this returns
        return card

    def _remember(self, card: ModelCard) -> None:
        try:
            self._settings.change(model="" if card.builtin else str(card.path))
        except OSError as error:  # it speaks all the same, in this run
            log.warning("the choice of a model could not be written: %s", type(error).__name__)

    async def watch(self) -> AsyncIterator[LoadEvent]:
        """Progress of loading, from the last event on, for as long as the caller listens."""
        queue: asyncio.Queue[LoadEvent] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            if self._last is not None:
                yield self._last
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

    # ------------------------------------------------------------------ for the session

    async def speaking(self) -> Speaker:
        """Wait until the model chosen last is ready. Raises: EngineError, TemplateInvalid."""
        while True:
            task = self.start()
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if not task.cancelled():
                    raise  # the caller was cancelled, not the load
                if task is self._task:
                    raise EngineClosed from None  # else another model was chosen meanwhile: wait for that one
            except EngineClosed:
                if task is self._task:
                    raise  # else, again: the end of a load that was given up

    async def identified(self) -> Speaker:
        """Wait until the model is ready and its id is known. Raises: EngineError, NotIdentified."""
        while True:
            speaker = await self.speaking()
            if not speaker.info.id and self._naming is not None:
                await asyncio.wait([self._naming])
            if speaker.info.id:
                return speaker
            if speaker is self.speaker:
                raise NotIdentified(speaker.info.path)

    def lost(self, speaker: Speaker | None) -> None:
        """The engine lost this speaker's model (its process died): whoever needs one loads it again."""
        if speaker is not None and speaker is self.speaker:
            self._abandon()

    def _died(self, error: WorkerDied) -> None:
        """The engine's process ended, perhaps while nobody waited for it: nothing is ready any more."""
        if self.speaker is not None:
            self._abandon()
            self._tell(Failed(error))

    async def leave(self, path: Path) -> None:
        """The weights at `path` are about to go: if they speak, the built-in guide takes their place."""
        if self.current.path == path:
            loading, self.current = self._task is not None, builtin()
            self._abandon()
            if loading:
                self.start()
        if self._settings.values.model == str(path):
            await asyncio.to_thread(self._remember, builtin())

    def unload(self) -> None:
        """The engine is about to hold another model: whoever needs this one loads it again."""
        self._abandon()

    async def close(self) -> None:
        """Stop loading and hashing."""
        naming, task = self._naming, self._abandon()
        if running := [each for each in (task, naming) if each is not None]:
            await asyncio.wait(running)

    def _abandon(self) -> asyncio.Task[Speaker] | None:
        """Give up the load in progress and forget the speaker, at once: whoever waits finds the next."""
        task, self._task, self.speaker = self._task, None, None
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        for each in (task, self._naming):
            if each is not None:
                each.cancel()
        return task

    async def _load(self, card: ModelCard) -> Speaker:
        try:
            speaker = self.speaker = await self._prepare(card)
        except Exception as error:
            if self._task is asyncio.current_task():  # nobody waits for a load that was given up
                self._tell(Failed(_typed(error)))
            raise
        self._tell(Loaded(speaker.info))
        self._naming = begin(self._name(speaker))
        return speaker

    async def _name(self, speaker: Speaker) -> None:
        """Find out the speaker's id while it already speaks; messages marked meanwhile get it."""
        try:
            if not speaker.info.id:
                id_ = await self._hash(speaker.info.path)
                speaker.info = replace(speaker.info, id=id_)
            await self._shelf.identified(speaker.info.path, speaker.mark, speaker.info.id)
        except Exception as error:  # its states stay in memory only; all else works
            log.warning("the model could not be identified: %s", type(error).__name__)

    async def _hash(self, path: str) -> str:
        """Raises: EngineError."""
        job = self._engine.identify(path)
        try:
            async for event in job:
                if isinstance(event, Identified):
                    return event.id
                if isinstance(event, Failed):
                    raise event.error
        finally:
            job.cancel()
        raise EngineClosed

    async def _prepare(self, card: ModelCard) -> Speaker:
        if card.spec is None and not card.builtin:
            card = self.current = await self._shelf.card(card.path)
        values = self._settings.values
        request = LoadRequest(str(card.path), card.tokenizer, values.device, self.dtype or values.dtype)
        job = self._job = self._engine.load(request)
        template = await asyncio.to_thread(templates.template, card.template)
        info = await self._follow(job)
        tokenizer, identity = await asyncio.to_thread(self._tokenizer, info.tokenizer)
        mark = await asyncio.to_thread(mark_of, info.path)
        coding, initial = f"{identity}/{template.name}", await self._begun()
        return Speaker(info, template, tokenizer, coding, mark, card.family, initial)

    async def _begun(self) -> str:
        """The id of the tuned state for the model that was just loaded, "" for none. Raises: EngineError."""
        if self.tuned is None:
            return ""
        async for event in self._engine.register(InitialRequest(str(self.tuned))):
            if isinstance(event, Registered):
                return event.id
            if isinstance(event, Failed):
                raise event.error
        raise EngineClosed

    async def _follow(self, job: JobLike) -> ModelInfo:
        async for event in job:
            if isinstance(event, Loaded):
                return event.info
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Cancelled):
                break
            if isinstance(event, Progress | LoadNotice):
                self._tell(event)
        raise EngineClosed

    def _tokenizer(self, ref: TokenizerRef) -> tuple[TokenizerLike, str]:
        return self._load_tokenizer(ref), tokenizer_id(ref)

    def _tell(self, event: LoadEvent) -> None:
        self._last = event
        for queue in self._watchers:
            queue.put_nowait(event)


def _failed(task: asyncio.Task[Speaker]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _seen(task: asyncio.Task[Speaker]) -> None:
    """Keep asyncio from reporting an error that was already told to every watcher."""
    if not task.cancelled():
        task.exception()


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[WorkerDied], None], error: WorkerDied) -> None:
    """On the loop's thread; a loop that has ended needs no news."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, error)


def _typed(error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    log.error("a model was not loaded", exc_info=error)
    return Unexpected(type(error).__name__, str(error))
