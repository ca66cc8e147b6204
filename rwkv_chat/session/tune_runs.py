"""The runs that there are: how each stands, told from its folder."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from engine.durable import into_place
from engine.errors import EngineError
from engine.tune.folder import Folder, ask_to_stop, read_config
from engine.tune.log import read_events
from engine.types import Evaluated, Failed, Step
from engine.types.tuning import Memory, Started, Stopped
from rwkv_chat.explain import sentence
from rwkv_chat.session import tune_child
from rwkv_chat.session.errors import TuneAmbiguous, TuneDamaged, TuneRuns, TuneUnknown
from rwkv_chat.session.naming import named
from rwkv_chat.session.tune_folder import OUTPUT, folders, is_id, read_about, write_about
from rwkv_chat.session.tune_types import Tune

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.types import TuneConfig, TuneEvent
    from rwkv_chat.session.tune_folder import About
    from rwkv_chat.session.tune_types import Status

LARGEST_LOG = 1 << 30
GONE = ".gone-"
DAY = 86_400.0


@dataclass(slots=True)
class Told:
    """What a log has told so far; `after`: the byte to go on from.

    `ended`: how its last process ended, None while one is at it (or was killed).
    """

    after: int = 0
    begun: bool = False
    step: int = 0
    steps: int = 0
    loss: float | None = None
    first: float | None = None
    best: float | None = None
    speed: float | None = None
    memory: Memory | None = None
    ended: Stopped | Failed | None = None

    def take(self, event: TuneEvent) -> None:
        match event:
            case Started(step=step, steps=steps):
                self.begun, self.ended, self.step, self.steps = True, None, step, steps
            case Step(step=step, loss=loss, tokens_per_second=speed):
                self.step, self.loss, self.speed = step, loss, speed if speed > 0 else None
            case Evaluated(step=step, loss=loss):
                self.first = loss if step == 0 else self.first
                self.best = loss if self.best is None else min(self.best, loss)
            case Memory():
                self.memory = event
            case Stopped() | Failed():
                self.ended = event
            case _:
                pass


class Runs:
    """Blocking; to be called outside of the event loop."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._told: dict[str, Told] = {}

    def listed(self) -> tuple[Tune, ...]:
        """All of them, newest first."""
        found = [self.read(each.name) for each in folders(self.root)]
        return tuple(sorted(found, key=lambda each: (-each.created, each.id)))

    def find(self, name: str) -> Tune:
        """By id or name, or the beginning of one that fits no other. Raises: TuneUnknown, TuneAmbiguous."""
        told = attrgetter("id", "name")
        return named(name, self.listed(), told, TuneUnknown, TuneAmbiguous, letters=None)

    def read(self, id_: str) -> Tune:
        """A run as it stands; a damaged one says what is wrong. Raises: TuneUnknown."""
        folder = self.folder(id_)
        running = tune_child.runs(folder)  # before its log is read: the last that it told is there then
        try:
            about, config = read_about(folder), read_config(Folder(folder))
            told = self.told(id_)
        except TuneDamaged as error:
            return Tune(id_, id_, folder, "damaged", error=sentence(error))
        except (EngineError, OSError) as error:
            return Tune(id_, id_, folder, "damaged", error=sentence(TuneDamaged(str(folder), str(error))))
        return _tune(folder, about, config, told, running=running)

    def folder(self, id_: str) -> Path:
        """Raises: TuneUnknown."""
        path = self.root / id_
        if not is_id(id_) or path.is_symlink() or not path.is_dir():
            raise TuneUnknown(id_)
        return path

    def told(self, id_: str) -> Told:
        """What its log says. Raises: OSError, TuneDamaged."""
        folder = Folder(self.root / id_)
        told = self._told.setdefault(id_, Told())
        size = folder.events.stat().st_size if folder.events.is_file() else 0
        if size > LARGEST_LOG:
            raise TuneDamaged(str(folder.path), folder.events.name)
        if size < told.after:  # it is another one
            told = self._told[id_] = Told()
        events, told.after = read_events(folder.path, told.after)
        for event in events:
            told.take(event)
        return told

    def change(self, id_: str, **changes: object) -> None:
        """Of what the app says about a run. Raises: TuneDamaged, OSError, TuneUnknown."""
        folder = self.folder(id_)
        write_about(folder, replace(read_about(folder), **changes))  # pyright: ignore[reportArgumentType]  fields by name

    def made_from(self, trees: Sequence[str]) -> tuple[Tune, ...]:
        """Those that read one of these trees of messages."""
        wanted = set(trees)
        return tuple(each for each in self.listed() if wanted & set(self._trees(each.id)))

    def _trees(self, id_: str) -> tuple[str, ...]:
        try:
            return read_about(self.folder(id_)).trees
        except (TuneDamaged, TuneUnknown):
            return ()

    def stop(self, id_: str) -> None:
        """It ends after its step, with a checkpoint. Raises: TuneUnknown, EngineError."""
        ask_to_stop(self.folder(id_))

    def remove(self, id_: str) -> None:
        """Raises: TuneUnknown, TuneRuns, OSError."""
        folder = self.folder(id_)
        if tune_child.runs(folder):
            raise TuneRuns(self.read(id_).name)
        gone = folder.with_name(f"{GONE}{id_}")
        into_place(folder, gone)  # at once: what is half deleted is no run
        self._told.pop(id_, None)
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what a crash left of runs that were being made or removed; another window may be making one
        now, so only what is a day old.
        """
        for each in (*self.root.glob(f"{GONE}*"), *self.root.glob(".new-*")):
            with suppress(OSError):
                old = time.time() - each.stat().st_mtime > DAY
                if old and each.is_dir() and not each.is_symlink():
                    shutil.rmtree(each, ignore_errors=True)


def _tune(folder: Path, about: About, config: TuneConfig, told: Told, *, running: bool) -> Tune:
    from pathlib import Path

    steps = told.steps or config.steps
    left = about.tokens * (steps - told.step) / max(1, steps)
    return Tune(
        id=folder.name,
        name=about.name or folder.name,
        folder=folder,
        status="running" if running else _status(told, folder),
        model=Path(config.model),
        model_name=about.model_name,
        model_id=about.model_id,
        method=config.method,
        preset=about.preset,
        created=about.created,
        step=told.step,
        steps=steps,
        loss=told.loss,
        first=told.first,
        best=told.best,
        tokens_per_second=told.speed,
        seconds_left=left / told.speed if told.speed else None,
        error=sentence(told.ended.error) if isinstance(told.ended, Failed) and not running else "",
        command=about.command,
        threads=about.threads,
        kept=about.kept,
        practice=about.practice,
        expected=told.memory.estimated if told.memory else None,
        peak=told.memory.peak if told.memory else None,
    )


def _status(told: Told, folder: Path) -> Status:
    match told.ended:
        case Failed():
            return "failed"
        case Stopped(reason="asked"):
            return "stopped"
        case Stopped():
            return "finished"
        case _:
            return "killed" if told.begun or (folder / OUTPUT).exists() else "ready"
