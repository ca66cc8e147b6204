"""What a run tells, as lines of `events.jsonl`: written by the run, read by whoever looks. No torch in here.

A line is the event's class under "event", and its fields; an error's class under "error", and its fields.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, astuple, fields
from typing import TYPE_CHECKING, Any, get_args

from engine import errors
from engine.errors import EngineError
from engine.tune.folder import Folder, owner
from engine.types import Failed, TuneEvent
from engine.types.tuning import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EVENTS: dict[str, type[Any]] = {each.__name__: each for each in get_args(TuneEvent)}
LONGEST_LINE = 1 << 20
_BLOCK = 4 << 20  # bytes read at once


def line_of(event: TuneEvent) -> str:
    """With its line feed."""
    name = type(event).__name__
    if isinstance(event, Failed):
        error = event.error
        table = {"error": type(error).__name__, "fields": list(astuple(error))}  # pyright: ignore[reportArgumentType]  every error is a dataclass
    else:
        table = asdict(event)
    return json.dumps({"event": name, "at": round(time.time(), 3), **table}) + "\n"


def event_of(line: str | bytes) -> TuneEvent | None:
    """None for a line that is cut, or of an event that is not known."""
    try:
        table = json.loads(line)
        kind = EVENTS[table["event"]]
        if kind is Failed:
            return Failed(_error(table["error"], table["fields"]))
        return kind(**{each.name: _value(table[each.name]) for each in fields(kind) if each.name in table})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _value(x: Any) -> Any:
    return tuple(x) if isinstance(x, list) else x


def _error(name: str, values: list[Any]) -> EngineError:
    """Raises KeyError, TypeError."""
    kind = vars(errors)[name]
    if not (isinstance(kind, type) and issubclass(kind, EngineError)):
        raise KeyError(name)
    return kind(*values)


class Log:
    """The writing side; a line is on the disk's way as soon as it is written."""

    def __init__(self, folder: Folder) -> None:
        self._file = folder.events.open("ab", buffering=0)
        if self._is_cut(folder.events):  # by a kill: what follows shall not be lost with it
            self._file.write(b"\n")

    @staticmethod
    def _is_cut(path: Path) -> bool:
        with path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def __call__(self, event: TuneEvent) -> None:
        self._file.write(line_of(event).encode())

    def close(self) -> None:
        self._file.close()


def read_events(path: Path, after: int = 0) -> tuple[list[TuneEvent], int]:
    """The events of the run in this folder from byte `after` of its log on, and where to go on from.

    Whole lines alone; one that no event can be made of is left out.
    """
    found: list[TuneEvent] = []
    try:
        with Folder(path).events.open("rb") as file:
            file.seek(after)
            while (block := file.read(_BLOCK)) and (end := block.rfind(b"\n") + 1):
                found += [event for line in block[:end].split(b"\n") if (event := event_of(line))]
                after += end
                file.seek(after)
    except FileNotFoundError:
        pass
    return found, after


def watch(
    path: Path, after: int = 0, *, every: float = 0.2, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[TuneEvent]:
    """Events as they come, until the run ends, its process has gone or `should_stop`.

    Looks every so many seconds; blocks meanwhile.
    """
    while not should_stop():
        alive = owner(path) is not None  # before reading: what it told last is read all the same
        events, after = read_events(path, after)
        yield from events
        if (events and isinstance(events[-1], ENDINGS)) or not alive:
            return
        time.sleep(every)
