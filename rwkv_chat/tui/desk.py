"""What all screens share: the session, the running replies, and how far the model is."""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.widgets.status_line import Status
from rwkv_chat.unforeseen import begin, safely

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from engine.errors import EngineError
    from engine.types import ModelInfo, SamplingParams
    from rwkv_chat.session import Session
    from rwkv_chat.session.examples_types import Branch
    from rwkv_chat.transcript import Thread
    from rwkv_chat.tui.drafts import DraftKeeper
    from rwkv_chat.tui.pulls import Pulls, PullState
    from rwkv_chat.tui.reading_texts import ReadingTexts
    from rwkv_chat.tui.starters import Starter
    from rwkv_chat.tui.turns import Turns

log = logging.getLogger(__name__)

# what the chat screen needs once the first frame stands
NEXT = (
    "pulls",
    "turns",
    "drafts",
    "completion",
    "reading_texts",
    "words",
    "widgets.transcript",
    "widgets.suggestions",
    "widgets.continue_bar",
    "widgets.completions",
    "widgets.waiting_line",
    "widgets.key_footer",
    "widgets.problem_line",
    "prose.markdown",
)


@dataclass(frozen=True, slots=True)
class ModelState:
    """How far the chosen model is.

    Attributes:
        share: of loading, 0…1.
        device, nbytes: where its weights are, and how much they take up there.
        error: why loading failed, None if it did not.
    """

    ready: bool = False
    share: float | None = None
    tier: str = ""
    state_bytes: int = 0
    device: str = ""
    nbytes: int = 0
    error: EngineError | None = None


class Desk:
    """Handed to every screen; screens never reach for one another."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.prepared = False
        self.model = ModelState()
        self.watchers: list[Callable[[], None]] = []
        self.keymap: Mapping[str, str] = {}  # of keys that differ from the table
        self.notices: list[str] = []  # each to be told once
        self.open_thread: Thread | None = None  # in the chat
        self.on_change: Callable[[Iterable[str]], None] = _nothing  # settings were changed: their names
        self.to_tune: tuple[Branch, ...] = ()  # for a new run, once the Tune screen is shown
        self.take_sampling: Callable[[Mapping[str, Any]], Awaitable[None]] = _unsampled  # of the open chat
        self.thrown_away: Callable[[], Awaitable[None]] = _unseen  # conversations were, or came back
        self.go: Callable[[str, str], Awaitable[None]] = _nowhere  # to a conversation, and a message in it
        self._watch: asyncio.Task[None] | None = None
        self._wanted: set[str] = set()  # downloads that are used when they are here
        self._using: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Load what the first frame did without, off the event loop."""
        await self.session.prepare()
        await asyncio.to_thread(_import_next)
        await self._load_drafts()
        self.prepared = True

    async def _load_drafts(self) -> None:
        from rwkv_chat.library.errors import LibraryError

        try:
            await self.drafts.load()
        except LibraryError:
            log.exception("drafts were not read")

    @functools.cached_property
    def turns(self) -> Turns:
        from rwkv_chat.tui.turns import Turns

        return Turns()

    @functools.cached_property
    def drafts(self) -> DraftKeeper:
        from rwkv_chat.tui.drafts import DraftKeeper

        return DraftKeeper(self.session)

    @functools.cached_property
    def pulls(self) -> Pulls:
        from rwkv_chat.tui.pulls import Pulls

        pulls = Pulls()
        pulls.on_done = self._arrived
        return pulls

    @functools.cached_property
    def books(self) -> ReadingTexts:
        from rwkv_chat.tui.reading_texts import ReadingTexts

        return ReadingTexts(self.session)

    @property
    def params(self) -> SamplingParams:
        """Sampling in force: the model's own, with the person's changes."""
        return self.session.sampling

    def start(self) -> None:
        """The first frame stands: begin to load the model, and to watch it, and what is done when nobody
        waits.
        """
        if self._watch is None:
            self._watch = begin(self._follow_model())
        self.session.models.start()
        self.session.keep_house()

    async def change(self, **values: object) -> OSError | None:
        """Make settings hold, and remember them. A file that cannot be written must not disturb the chat:
        they hold for this run, and the error is given back for whoever wants to tell it.
        """
        unwritten = None
        try:
            await self.session.change_settings(**values)
        except ValueError:
            log.exception("settings were refused")
            return None
        except OSError as error:
            log.exception("settings were not written")
            unwritten = error
        self.on_change(values)
        return unwritten

    async def reset(self, name: str) -> OSError | None:
        """Go back to a setting's default; as `change`."""
        unwritten = None
        try:
            await self.session.reset_setting(name)
        except OSError as error:
            log.exception("settings were not written")
            unwritten = error
        self.on_change((name,))
        return unwritten

    async def use(self, path: Path | None) -> None:
        """Another model (None: the built-in guide), where nobody shows the outcome but the status line."""
        from engine.errors import EngineError
        from rwkv_chat.library.errors import LibraryError

        try:
            await self.session.models.use(path)
        except (EngineError, LibraryError) as error:
            self._tell(replace(self.model, error=error if isinstance(error, EngineError) else None))
            return
        self.model_chosen()

    def load_again(self) -> None:
        """Load the model in use once more: after a failure, or as the settings say now."""
        self.session.models.unload()
        self.model_chosen()
        self.session.models.start()

    async def sample(self, params: SamplingParams) -> None:
        """Remember how replies are sampled from now on."""
        try:
            await self.session.set_sampling(params)
            await self.session.chats.resample()
        except (OSError, ValueError):
            log.exception("settings were not written")

    def forget_screens(self) -> None:
        """The screens go, or are made anew: those that there were are told nothing more."""
        self.watchers.clear()
        if self.prepared:
            self.drafts.leave()
            self.turns.listener = self.pulls.on_end = None
            self.pulls.watchers.clear()
            self.books.watchers.clear()

    async def close(self) -> None:
        if self.prepared:
            await self.drafts.close()
        await self.pulls.close()
        await self.books.close()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await self.turns.close()

    async def free_memory(self) -> None:
        """Let the engine forget states that it keeps in memory beside the disk; they are read again."""
        await self.session.free_memory()

    def model_chosen(self) -> None:
        """Another model was chosen: it starts from nothing."""
        self._tell(ModelState())

    async def starters(self) -> tuple[Starter, ...]:
        """Models to begin with on this machine; none where nobody knows."""
        from engine.errors import EngineError
        from rwkv_chat.library.errors import LibraryError
        from rwkv_chat.tui.starters import starters

        try:
            return starters(await self.session.shelf.offers())
        except (EngineError, LibraryError, OSError):
            log.exception("no model could be advised")
            return ()

    def get_and_use(self, name: str) -> None:
        """Download a model, and use it when it is here."""
        from engine.errors import EngineError
        from rwkv_chat.explain import sentence
        from rwkv_chat.library.errors import LibraryError

        try:
            self.pulls.follow(name, self.session.shelf.pull(name))
        except (EngineError, LibraryError, OSError) as error:
            self._notice(sentence(error))
            return
        self._wanted.add(name)

    def _arrived(self, state: PullState) -> None:
        if state.name in self._wanted:
            self._wanted.discard(state.name)
            self._using = begin(self._use_arrived(state.name))

    async def _use_arrived(self, name: str) -> None:
        offers = await self.session.shelf.offers()
        here = next((each.here for each in offers if each.name == name), None)
        if here is not None:
            self._notice(say("app.welcome.arrived", model=title(name)))
            await self.use(here)

    def idle_status(self) -> Status:
        """The status line's words on the model alone."""
        private = self.session.private
        if not self.prepared:
            return Status("", private=private)
        from rwkv_chat.tui.pulls import download_words

        name, state = self.session.models.current.name, self.model
        download = download_words(self.pulls.active)
        if state.error is not None:
            return Status(name, "failed", download=download, private=private)
        if not state.ready:
            return Status(name, "loading", state.share, download=download, private=private)
        return Status(
            name,
            "ready",
            tier=state.tier,
            state_bytes=state.state_bytes,
            device=state.device,
            memory=state.nbytes,
            download=download,
            private=private,
        )

    async def _follow_model(self) -> None:
        from engine.types import Failed, Loaded, NotFast, NotKept, Progress, TierChosen
        from rwkv_chat.explain import notice_sentence

        async for event in self.session.models.watch():
            match event:
                case Progress(done=done, total=total):
                    share = done / total if total else None
                    self._tell(replace(self.model, ready=False, share=share, error=None))
                case NotKept() | NotFast() | TierChosen():
                    self._notice(notice_sentence(event))
                case Loaded(info=info):
                    self._tell(_ready(info))
                case Failed(error=error):
                    self._tell(ModelState(error=error))

    def _notice(self, sentence: str) -> None:
        self.notices.append(sentence)
        self._tell(self.model)

    def _tell(self, state: ModelState) -> None:
        self.model = state
        for watcher in tuple(self.watchers):
            safely(watcher)


def _ready(info: ModelInfo) -> ModelState:
    return ModelState(
        ready=True,
        tier=info.tier,
        state_bytes=info.state_nbytes,
        device=info.device,
        nbytes=info.nbytes,
    )


def _import_next() -> None:
    for name in NEXT:
        importlib.import_module(f"rwkv_chat.tui.{name}")


def _nothing(_: Iterable[str]) -> None:
    """Until there is an app that shows it."""


async def _unsampled(_values: Mapping[str, Any]) -> None:
    """Until there is a screen that samples."""


async def _unseen() -> None:
    """Until there is a screen that has something of them."""


async def _nowhere(_thread: str, _node: str) -> None:
    """Until there is a screen to go to."""
