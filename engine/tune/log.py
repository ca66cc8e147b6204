"""What a run tells, as lines of `events.jsonl`: written by the run, read by whoever looks. No torch in here.

A line is the event's class under "event", and its fields; an error's class under "error", and its fields.
"""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import Field, asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_args

from engine import errors
from engine.errors import DiskFailed, EngineError, Unexpected
from engine.tune.folder import Folder, owner
from engine.types import Failed, TuneEvent
from engine.types.tuning import ENDINGS, StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EVENTS: dict[str, type[Any]] = {each.__name__: each for each in get_args(TuneEvent)}
_BLOCK = 4 << 20  # bytes read at once
_LONGEST_NAME = 80  # of an error that is not known


def line_of(event: TuneEvent) -> str:
    """With its line feed."""
    name = type(event).__name__
    if isinstance(event, Failed):
        error: Any = event.error
        told = [getattr(error, each.name) for each in fields(error)] if is_dataclass(error) else []
        table = {"error": type(error).__name__, "fields": told}
    else:
        table = asdict(event)
    return json.dumps({"event": name, "at": round(time.time(), 3), **table}, default=str) + "\n"


def event_of(line: str | bytes) -> TuneEvent | None:
    """None for a line that is cut, of an event that is not known, or with values that are none of it."""
    try:
        table = json.loads(line)
        kind = EVENTS[table["event"]]
        if kind is Failed:
            return Failed(_error(table["error"], table.get("fields")))
        return kind(
            **{each.name: _value(each, table[each.name]) for each in fields(kind) if each.name in table}
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _value(of: Field[Any], x: Any) -> Any:
    """Raises TypeError: no value of this field, or a number without bounds."""
    found = tuple(x) if isinstance(x, list) else x
    if not _FITS[str(of.type)](found):
        raise TypeError(of.name)
    return found


def _is_int(x: Any) -> bool:
    return type(x) is int and abs(x) < 1 << 63


def _is_float(x: Any) -> bool:
    return _is_int(x) or (type(x) is float and math.isfinite(x))


# a field's type, as it is written → whether a value that was read is one
_FITS: dict[str, Callable[[Any], bool]] = {
    "int": _is_int,
    "float": _is_float,
    "float | None": lambda x: x is None or _is_float(x),
    "bool": lambda x: type(x) is bool,
    "str": lambda x: type(x) is str,
    "StopReason": lambda x: x in get_args(StopReason),
    "TokenIds": lambda x: type(x) is tuple and all(map(_is_int, x)),
    "tuple[str, ...]": lambda x: type(x) is tuple and all(type(each) is str for each in x),
}


def _error(name: Any, values: Any) -> EngineError:
    """One that is not known here, or with other values than it has, keeps its name: no failure is left out.

    Raises TypeError: it has no name.
    """
    if type(name) is not str:
        raise TypeError(name)
    kind = vars(errors).get(name)
    if isinstance(kind, type) and issubclass(kind, EngineError):
        with suppress(KeyError, TypeError, ValueError):
            return kind(*(_value(*each) for each in zip(fields(kind), values, strict=True)))  # pyright: ignore[reportArgumentType]  every error is a dataclass
    return Unexpected(name[:_LONGEST_NAME], "")


class Log:
    """The writing side; a line is on the disk's way as soon as it is written.

    Raises:
        DiskFailed: from everything it does.
    """

    def __init__(self, folder: Folder) -> None:
        self._path = folder.events
        with self._on_disk():
            self._file = self._path.open("ab", buffering=0)
            if self._is_cut(self._path):  # by a kill: what follows shall not be lost with it
                self._file.write(b"\n")

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskFailed(str(self._path), error.strerror or str(error)) from error

    @staticmethod
    def _is_cut(path: Path) -> bool:
        with path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def __call__(self, event: TuneEvent) -> None:
        with self._on_disk():
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
