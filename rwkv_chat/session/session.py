"""The session: one library, one engine, the settings, and the use cases over them.

A front end draws its first frame with the library and the settings alone; the use cases, and what they
import, come when they are asked for (`prepare`: all of them, off the event loop).
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from rwkv_chat.library.database import MEMORY, Library
from rwkv_chat.logs import start_logging, start_silence, stop_logging
from rwkv_chat.paths import Paths
from rwkv_chat.settings import Settings, sampling_with
from rwkv_chat.settings_file import SettingsFile, SettingsWarning
from rwkv_chat.unforeseen import begin
from rwkv_chat.windows import Windows

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

    from engine.tokenizer import Tokenizer
    from engine.types import SamplingParams, TokenizerRef
    from rwkv_chat.session.books import Books
    from rwkv_chat.session.border import EngineLike, LoadTokenizer
    from rwkv_chat.session.branches import Branches
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.session.chats import Chats
    from rwkv_chat.session.convs import Convs
    from rwkv_chat.session.drafts import Drafts
    from rwkv_chat.session.models import Models
    from rwkv_chat.session.shelf import Shelf
    from rwkv_chat.session.states import States
    from rwkv_chat.session.tune_runs import Runs
    from rwkv_chat.session.tunes import Tunes
    from rwkv_chat.session.turns import Turns
    from rwkv_chat.session.writings import Writings

GB = 1_000_000_000
# names of `Session`, and of the modules that have them
USE_CASES = (
    "shelf",
    "models",
    "turns",
    "chats",
    "branches",
    "writings",
    "books",
    "convs",
    "states",
    "drafts",
    "tunes",
)
HOUSE_SECONDS = 0.5  # what is done when nobody waits comes after what somebody waits for


class Session:
    """What a front end holds.

    Attributes:
        chats, branches, writings, books, convs, states, drafts, models, shelf: the use cases, each made when
            it is first asked for.
        turns: the replies and readings that go on.
        library: the database, for those who look at its health.
        paths: where everything lives.
        windows: whether others are open, with which this one takes turns.
        private: nothing that is said is written; it is gone when the session is closed.
        apart: work on model files is done in processes of its own, since an interface draws in this one.
    """

    def __init__(
        self,
        paths: Paths,
        library: Library,
        settings: SettingsFile,
        engine: Callable[[], EngineLike],
        card: Callable[[], ModelCard],
        load_tokenizer: LoadTokenizer,
        log: logging.Handler | None = None,
    ) -> None:
        """`engine`, `card`: make what they name, once, when it is needed."""
        self.paths, self.library, self._settings = paths, library, settings
        self._make_engine, self._find_card, self._load_tokenizer = engine, card, load_tokenizer
        self._log = log
        self.apart = self.private = False
        self.windows = Windows(None)
        self._house: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ the use cases

    async def prepare(self) -> None:
        """Import what the use cases need, off the event loop, and make them."""
        await asyncio.to_thread(_import_use_cases)
        for name in USE_CASES:
            getattr(self, name)

    @functools.cached_property
    def _engine(self) -> EngineLike:
        return self._make_engine()

    @functools.cached_property
    def shelf(self) -> Shelf:
        from rwkv_chat.session.shelf import Shelf

        shelf = Shelf(self.library, self._engine, self.paths, lambda: self.settings)
        shelf.removed, shelf.given_up = lambda path: self.models.leave(path), lambda: self.models.unload()
        shelf.apart = self.apart
        return shelf

    @functools.cached_property
    def models(self) -> Models:
        from rwkv_chat.session.models import Models

        return Models(self._engine, self._find_card(), self._settings, self._load_tokenizer, self.shelf)

    @functools.cached_property
    def turns(self) -> Turns:
        from rwkv_chat.session.adapters import Adapters
        from rwkv_chat.session.initials import Initials
        from rwkv_chat.session.turns import Turns

        models = self.models
        folder, tuned = self.paths.outside, lambda: models.tuned and models.tuned.absolute()
        initials = Initials(self.library, self._engine, folder, models.identified, tuned)
        adapters = Adapters(
            self.library, self._engine, self.paths.adapters, models.identified, lambda: models.speaker
        )
        usual, pauses = lambda: self.settings.think, lambda: self.settings.pause_repeats
        own = self.models, self._engine, initials, self.windows, adapters
        return Turns(self.library, *own, usual, self.sampling_for, pauses)

    @functools.cached_property
    def chats(self) -> Chats:
        from rwkv_chat.session.chats import Chats

        return Chats(self.turns, self.sampling_for)

    @functools.cached_property
    def branches(self) -> Branches:
        from rwkv_chat.session.branches import Branches

        return Branches(self.chats, self.turns)

    @functools.cached_property
    def writings(self) -> Writings:
        from rwkv_chat.session.writings import Writings

        return Writings(self.chats, self.turns)

    @functools.cached_property
    def books(self) -> Books:
        from rwkv_chat.session.books import Books

        return Books(self.turns)

    @functools.cached_property
    def convs(self) -> Convs:
        from rwkv_chat.session.convs import Convs

        return Convs(self.library, self.chats, self._engine, self.paths, self.states, self.runs)

    @functools.cached_property
    def states(self) -> States:
        from rwkv_chat.session.states import States

        return States(self.turns.desk)

    @functools.cached_property
    def drafts(self) -> Drafts:
        from rwkv_chat.session.drafts import Drafts

        return Drafts(self.library, self.windows)

    @functools.cached_property
    def runs(self) -> Runs:
        """The folders of tuning runs."""
        from rwkv_chat.session.tune_runs import Runs

        return Runs(self.paths.tunes)

    @functools.cached_property
    def tunes(self) -> Tunes:
        from rwkv_chat.session.tunes import Tunes

        desk, paths = self.turns.desk, self.paths
        device = lambda: self.settings.device  # noqa: E731  a name keeps the line short
        convert, load = self.shelf.convert, self._load_tokenizer
        tunes = Tunes(desk, self.states, self.runs, paths, device, lambda: self.sampling, convert, load)
        tunes.private = self.private
        return tunes

    # ------------------------------------------------------------------ settings

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

    def sampling_for(self, mode: str, own: Mapping[str, Any] = MappingProxyType({})) -> SamplingParams:
        """How replies are sampled in a think mode: where the model's family has a way of its own for it, that
        one, with the person's changes, and those of the conversation (`own`).
        """
        speaker, base = self.models.speaker, self.models.current.sampling
        if speaker is not None and mode != speaker.family.mode:
            base = speaker.family.sampling_for(mode) or base
        return sampling_with(self.settings.sampling_over(base), own)

    async def change_settings(self, **changes: Any) -> Settings:
        """Set and write settings. Raises: ValueError, OSError (see `SettingsFile.change`)."""
        changed = await asyncio.to_thread(self._settings.change, **changes)
        if {"snapshot_budget_gb", "snapshot_ram_gb"} & changes.keys():
            self._engine.budget(*_budgets(changed))
        return changed

    async def reset_setting(self, name: str) -> Settings:
        """Go back to a setting's default, and take it out of the file. Raises: SettingUnknown, OSError."""
        changed = await asyncio.to_thread(self._settings.reset, name)
        if name in ("snapshot_budget_gb", "snapshot_ram_gb"):
            self._engine.budget(*_budgets(changed))
        return changed

    async def free_memory(self) -> None:
        """Let go of the states that are kept in memory; what is missed is read from the disk, or again."""
        disk, ram = _budgets(self.settings)
        self._engine.budget(disk, 1)
        self._engine.budget(disk, ram)

    async def set_sampling(self, params: SamplingParams) -> SamplingParams:
        """Remember how `params` differ from the model's own sampling."""
        await self.change_settings(sampling=_differences(params, self.models.current.sampling))
        return self.sampling

    # ------------------------------------------------------------------ the end

    def keep_house(self) -> None:
        """Begin what is done when nobody waits: once, and nothing of it in a private session."""
        if self._house is None and not self.private:
            self._house = begin(self._keep_house())

    async def _keep_house(self) -> None:
        await asyncio.sleep(HOUSE_SECONDS)
        from rwkv_chat.session.housekeeping import keep_house

        await keep_house(self.library, self._engine, self.paths)

    async def close(self) -> None:
        """Stop and keep replies, give the engine back, close the database. May be called twice."""
        if self._house is not None:
            self._house.cancel()
            await asyncio.wait([self._house])
        for name in ("turns", "models", "shelf"):
            if name in self.__dict__:  # made
                await getattr(self, name).close()
        if "_engine" in self.__dict__:
            await asyncio.to_thread(self._engine.close)
        await self.library.close()
        self.windows.close()
        log, self._log = self._log, None
        if log is not None:
            stop_logging(log)


def _import_use_cases() -> None:
    for name in ("engine.service", *(f"rwkv_chat.session.{each}" for each in USE_CASES)):
        importlib.import_module(name)


def _budgets(settings: Settings) -> tuple[int | None, int | None]:
    """Bytes of saved states on the disk and in memory; None for the engine's defaults."""
    disk, ram = settings.snapshot_budget_gb, settings.snapshot_ram_gb
    return int(disk * GB) or None, int(ram * GB) or None


def _differences(params: SamplingParams, base: SamplingParams) -> dict[str, Any]:
    wanted, own = asdict(params), asdict(base)
    names = (each.name for each in fields(base) if each.metadata)
    return {name: wanted[name] for name in names if wanted[name] != own[name] and wanted[name] is not None}


async def open_session(
    home: Paths | None = None,
    *,
    model: Path | None = None,
    worker: Literal["thread", "process"] = "thread",
    overrides: Mapping[str, Any] | None = None,
    private: bool = False,
    house: bool = True,
) -> Session:
    """Open the library and the settings; loads no torch and no model.

    Args:
        home: where everything lives; None asks the environment.
        model: a weights file for this run; None takes the one in the settings.
        overrides: settings for this run that are not written, e.g. {"device": "cpu"}.
        private: conversations and states are in memory alone, and those that are on the disk are not there.
        house: False where the front end calls `keep_house` itself, when its first frame stands.

    Raises:
        LibraryError: the conversations cannot be opened.
        FolderUnusable: a folder cannot be made.
    """
    paths = home or Paths.find()
    await asyncio.to_thread(paths.make)
    log = _start_log(paths)
    try:
        settings = await asyncio.to_thread(SettingsFile, paths.settings_file, overrides)
        library = await Library.open(MEMORY if private else paths.database)
    except BaseException:
        stop_logging(log)
        raise
    states = None if private else paths.states
    engine = functools.partial(_engine, states, paths.cache, settings.values, worker)
    card = functools.partial(_card, model, settings.values)
    session = Session(paths, library, settings, engine, card, _load_tokenizer, log)
    session.apart, session.private = worker == "process", private
    if private:
        await session.shelf.adopt(paths.database)
    else:
        session.windows = await asyncio.to_thread(Windows, paths.locks)
    if house:
        session.keep_house()
    return session


def _start_log(paths: Paths) -> logging.Handler:
    """The program works without a log, too."""
    try:
        return start_logging(paths.log_file)
    except OSError:
        return start_silence()


def _card(model: Path | None, settings: Settings) -> ModelCard:
    from rwkv_chat.session import cards

    if model is not None:
        return cards.card_for(model)
    return cards.card_for(Path(settings.model)) if settings.model else cards.builtin()


def _engine(
    states: Path | None, cache: Path, settings: Settings, worker: Literal["thread", "process"]
) -> EngineLike:
    from engine.service import Engine

    disk, ram = _budgets(settings)
    threads = settings.threads or None
    return Engine(states, cache=cache, budget_bytes=disk, worker=worker, threads=threads, ram_bytes=ram)


def _load_tokenizer(ref: TokenizerRef) -> Tokenizer:
    from engine.tokenizer import load_tokenizer

    return load_tokenizer(ref)
