"""Downloads as the screens see them. They belong to the app: one goes on whatever is shown, and its numbers
stand in the status line meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Literal

from engine.errors import EngineError, Unexpected
from engine.types import Cancelled, Downloaded, Failed, Progress
from rwkv_chat.amounts import speed
from rwkv_chat.explain import size
from rwkv_chat.texts import say
from rwkv_chat.unforeseen import begin, safely

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rwkv_chat.session.shelf_pull import Pull, PullEvent

log = logging.getLogger(__name__)

PullPhase = Literal["queued", "running", "pausing", "paused", "failed", "done"]
TELL_SECONDS = 0.5  # how often a growing number is shown anew
WINDOW_SECONDS = 6.0  # the speed is that of the last so many seconds


@dataclass(frozen=True, slots=True)
class PullState:
    """How far a download is.

    Attributes:
        name: of the offer.  done, total: bytes, total 0 while unknown.  speed: bytes a second, 0 if unknown.
        error: why it failed, for that phase.
    """

    name: str
    phase: PullPhase = "queued"
    done: int = 0
    total: int = 0
    speed: float = 0.0
    error: EngineError | None = None

    @property
    def active(self) -> bool:
        return self.phase in ("queued", "running", "pausing")

    @property
    def share(self) -> float | None:
        """0…1, None while unknown."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done) / self.speed if self.speed and self.total else None


class Speed:
    """Bytes per second over the last few seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def take(self, done: int) -> float:
        now = monotonic()
        self._points.append((now, done))
        while now - self._points[0][0] > WINDOW_SECONDS:
            self._points.popleft()
        began, before = self._points[0]
        return max(0.0, (done - before) / (now - began)) if now > began else 0.0


class Pulls:
    """Follows every download of this run.

    Attributes:
        states: by the offer's name, in the order of asking; the last state of those that ended stays.
        watchers: called when a state changed, at most a few times a second while it only grows.
        on_end: called with the last state of each.  on_done: with that of each that is here.
    """

    def __init__(self) -> None:
        self.states: dict[str, PullState] = {}
        self.watchers: list[Callable[[], None]] = []
        self.on_end: Callable[[PullState], None] | None = None
        self.on_done: Callable[[PullState], None] | None = None
        self._pulls: dict[str, Pull] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._due: asyncio.TimerHandle | None = None

    def follow(self, name: str, pull: Pull, done: int = 0, total: int = 0) -> None:
        """A download began, or goes on after `done` of `total` bytes."""
        self._pulls[name] = pull
        self._set(PullState(name, done=done, total=total))
        task = begin(self._follow(name, pull))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def pause(self, name: str) -> None:
        """Ask for the end; what came is kept."""
        state = self.states.get(name)
        if state is not None and state.active:
            self._set(replace(state, phase="pausing", speed=0.0))
            self._pulls[name].pause()

    def forget(self, name: str) -> None:
        """Drop the state of one that ended."""
        if name in self.states and not self.states[name].active:
            del self.states[name]

    @property
    def active(self) -> tuple[PullState, ...]:
        return tuple(each for each in self.states.values() if each.active)

    async def close(self) -> None:
        """Listen no more; what came of running downloads is kept."""
        self.watchers.clear()
        self.on_end = self.on_done = None
        self._tell()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _follow(self, name: str, pull: Pull) -> None:
        pace = Speed()
        try:
            async for event in pull:
                self._take(name, event, pace)
        except Exception as error:
            log.exception("a download could not be followed")
            self._take(name, Failed(Unexpected(type(error).__name__, "")), pace)

    def _take(self, name: str, event: PullEvent, pace: Speed) -> None:
        state = self.states[name]
        match event:
            case Progress(done=done, total=total) if state.phase == "pausing":
                self._set(replace(state, done=done, total=total))
            case Progress(done=done, total=total):
                rate = pace.take(done)
                grown = replace(state, phase="running", done=done, total=total, speed=rate)
                self._set(grown, growing=state.phase == "running")
            case Downloaded(nbytes=nbytes):
                self._end(replace(state, phase="done", done=nbytes, total=nbytes, speed=0.0))
            case Cancelled():
                self._end(replace(state, phase="paused", speed=0.0))
            case Failed(error=error):
                self._end(replace(state, phase="failed", speed=0.0, error=error))

    def _end(self, state: PullState) -> None:
        self._set(state)
        if state.phase == "done" and self.on_done is not None:
            safely(self.on_done, state)
        if self.on_end is not None:
            safely(self.on_end, state)

    def _set(self, state: PullState, *, growing: bool = False) -> None:
        """Keep a state and tell of it: at once, or, where it only grew, soon and together with others."""
        self.states[state.name] = state
        if not growing:
            self._tell()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell)

    def _tell(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        for watcher in tuple(self.watchers):
            safely(watcher)


def download_words(pulls: Sequence[PullState]) -> str:
    """The downloads of the moment in a few words, "" where there are none: "download 42% · 24 MB/s"."""
    if not pulls:
        return ""
    done, total = sum(each.done for each in pulls), sum(each.total for each in pulls)
    pace = sum(each.speed for each in pulls)
    share = f"{min(1.0, done / total):.0%}" if total else size(done)
    text = say("app.status.download", share=share)
    return f"{text} · {speed(pace)}" if pace else text
