"""The session: one library, one engine, the settings, and the use cases over them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.types import SamplingParams
from rwkv_chat.library.database import MEMORY, Library
from rwkv_chat.logs import start_logging, stop_logging
from rwkv_chat.paths import Paths
from rwkv_chat.session import cards
from rwkv_chat.session.books import Books
from rwkv_chat.session.branches import Branches
from rwkv_chat.session.chats import Chats
from rwkv_chat.session.convs import Convs
from rwkv_chat.session.housekeeping import keep_house
from rwkv_chat.session.models import Models
from rwkv_chat.session.shelf import Shelf
from rwkv_chat.session.states import States
from rwkv_chat.session.turns import Turns
from rwkv_chat.session.writings import Writings
from rwkv_chat.settings import Settings, SettingsFile, SettingsWarning

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from rwkv_chat.session.border import EngineLike, LoadTokenizer
    from rwkv_chat.session.cards import ModelCard

GB = 1_000_000_000


class Session:
    """What a front end holds.

    Attributes:
        chats, branches, writings, books, convs, states, models, shelf: the use cases.
        turns: the replies and readings that go on.
        library: the database, for those who look at its health.
        paths: where everything lives.
        private: nothing that is said is written; it is gone when the session is closed.
    """

    def __init__(
        self,
        paths: Paths,
        library: Library,
        settings: SettingsFile,
        engine: EngineLike,
        card: ModelCard,
        load_tokenizer: LoadTokenizer,
        log: logging.Handler | None = None,
    ) -> None:
        self.paths, self.library, self._settings, self._engine = paths, library, settings, engine
        self._log = log
        self.private = False
        self.shelf = Shelf(library, engine, paths, lambda: self.settings)
        self.models = Models(engine, card, settings, load_tokenizer, self.shelf)
        self.shelf.removed, self.shelf.given_up = self.models.leave, self.models.unload
        self.turns = Turns(library, self.models, engine, lambda: self.settings.think)
        self.chats = Chats(self.turns, self.sampling_for)
        self.branches = Branches(self.chats, self.turns)
        self.writings = Writings(self.chats, self.turns)
        self.books = Books(self.turns)
        self.convs = Convs(library, self.chats, engine, paths)
        self.states = States(self.turns.desk)
        self._house: asyncio.Task[None] | None = None

    def keep_house(self) -> None:
        """Begin what is done when nobody waits."""
        house = keep_house(self.library, self._engine, self.paths)
        self._house = asyncio.get_running_loop().create_task(house)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings.values

    @property
    def settings_warning(self) -> SettingsWarning | None:
        """What was wrong with the settings file."""
        return self._settings.warning

    @property
    def sampling(self) -> SamplingParams:
        """How replies are sampled now: the model's own way with the person's changes."""
        return self.settings.sampling_over(self.models.current.sampling)

    def sampling_for(self, mode: str) -> SamplingParams:
        """How replies are sampled in a think mode: where the model's family has a way of its own for it, that
        one, with the person's changes.
        """
        speaker, base = self.models.speaker, self.models.current.sampling
        if speaker is not None and mode != speaker.family.mode:
            base = speaker.family.sampling_for(mode) or base
        return self.settings.sampling_over(base)

    async def change_settings(self, **changes: Any) -> Settings:
        """Set and write settings. Raises: ValueError, OSError (see `SettingsFile.change`)."""
        return await asyncio.to_thread(self._settings.change, **changes)

    async def set_sampling(self, params: SamplingParams) -> SamplingParams:
        """Remember how `params` differ from the model's own sampling."""
        await self.change_settings(sampling=_differences(params, self.models.current.sampling))
        return self.sampling

    async def close(self) -> None:
        """Stop and keep replies, give the engine back, close the database. May be called twice."""
        if self._house is not None:
            self._house.cancel()
            await asyncio.wait([self._house])
        await self.turns.close()
        await self.models.close()
        await self.shelf.close()
        await asyncio.to_thread(self._engine.close)
        await self.library.close()
        log, self._log = self._log, None
        if log is not None:
            stop_logging(log)


def _differences(params: SamplingParams, base: SamplingParams) -> dict[str, Any]:
    wanted, own = asdict(params), asdict(base)
    names = (each.name for each in fields(SamplingParams) if each.metadata)
    return {name: wanted[name] for name in names if wanted[name] != own[name] and wanted[name] is not None}


async def open_session(
    home: Paths | None = None,
    *,
    model: Path | None = None,
    worker: Literal["thread", "process"] = "thread",
    overrides: Mapping[str, Any] | None = None,
    private: bool = False,
) -> Session:
    """Open the library and the settings; loads no torch and no model.

    Args:
        home: where everything lives; None asks the environment.
        model: a weights file for this run; None takes the one in the settings.
        overrides: settings for this run that are not written, e.g. {"device": "cpu"}.
        private: conversations and states are in memory alone, and those that are on the disk are not there.

    Raises:
        LibraryError: the conversations cannot be opened.
        FolderUnusable: a folder cannot be made.
    """
    paths = home or Paths.find()
    await asyncio.to_thread(paths.make)
    log = _start_log(paths)
    try:
        settings = await asyncio.to_thread(SettingsFile, paths.settings_file, overrides)
        card = await asyncio.to_thread(_card, model, settings.values)
        library = await Library.open(MEMORY if private else paths.database)
    except BaseException:
        if log is not None:
            stop_logging(log)
        raise
    engine = _engine(None if private else paths.states, paths.cache, settings.values, worker)
    session = Session(paths, library, settings, engine, card, _tokenizer_loader(), log)
    session.shelf.apart, session.private = worker == "process", private
    if private:
        await session.shelf.adopt(paths.database)
    else:
        session.keep_house()
    return session


def _start_log(paths: Paths) -> logging.Handler | None:
    """The program works without a log, too."""
    try:
        return start_logging(paths.log_file)
    except OSError:
        return None


def _card(model: Path | None, settings: Settings) -> ModelCard:
    if model is not None:
        return cards.card_for(model)
    return cards.card_for(Path(settings.model)) if settings.model else cards.builtin()


def _engine(
    states: Path | None, cache: Path, settings: Settings, worker: Literal["thread", "process"]
) -> EngineLike:
    from engine.service import Engine  # pyright: ignore[reportMissingImports]

    budget = int(settings.snapshot_budget_gb * GB) or None
    threads = settings.threads or None
    return Engine(states, cache=cache, budget_bytes=budget, worker=worker, threads=threads)


def _tokenizer_loader() -> LoadTokenizer:
    from engine.tokenizer import load_tokenizer  # pyright: ignore[reportMissingImports]

    return load_tokenizer
