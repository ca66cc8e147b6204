"""The engine's errors. They carry data, not sentences: the app's `explain.py` words them.

EngineError
├── ModelNotFound(path)
├── WeightsCorrupt(path, where, expected, found)
├── UnsupportedFormat(path, hint)
├── TokenizerInvalid(path, reason)
├── InvalidParameter(name, value, low, high)
├── InvalidRequest(reason)
├── OutOfMemory(needed, free)
├── DeviceUnavailable(device)
├── ModelNotLoaded()
├── StateMismatch(expected, found)
├── StateCorrupt(path, reason)
├── StoreFull(needed, budget)
├── DiskFailed(path, reason)
├── DiskFull(path, needed, free)
├── DownloadFailed(url, done, total)
├── TuneDataInvalid(path, line, reason)
├── WorkerDied(exit_code)
├── EngineClosed()
└── Unexpected(kind, detail)
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any


class EngineError(Exception):
    """The family; every member is a dataclass of plain values and survives pickling."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), astuple(self)  # pyright: ignore[reportArgumentType]  every subclass is a dataclass


@dataclass(eq=False)
class ModelNotFound(EngineError):
    """No file at `path`."""

    path: str


@dataclass(eq=False)
class WeightsCorrupt(EngineError):
    """A weights file is damaged or not what its name says; `where` names the tensor or byte."""

    path: str
    where: str
    expected: str
    found: str


@dataclass(eq=False)
class UnsupportedFormat(EngineError):
    """A file of a kind that cannot be loaded; `hint` is a short word for the kind seen."""

    path: str
    hint: str


@dataclass(eq=False)
class TokenizerInvalid(EngineError):
    """A tokenizer file cannot be used."""

    path: str
    reason: str


@dataclass(eq=False)
class InvalidParameter(EngineError):
    """A sampling value outside low…high."""

    name: str
    value: str
    low: float
    high: float


@dataclass(eq=False)
class InvalidRequest(EngineError):
    """A request that cannot be served, e.g. an id outside the vocabulary or nothing to feed."""

    reason: str


@dataclass(eq=False)
class OutOfMemory(EngineError):
    """Bytes needed and bytes free on the device."""

    needed: int
    free: int


@dataclass(eq=False)
class DeviceUnavailable(EngineError):
    """The device asked for is not on this machine."""

    device: str


@dataclass(eq=False)
class ModelNotLoaded(EngineError):
    """A reply was asked for before any model was loaded."""


@dataclass(eq=False)
class StateMismatch(EngineError):
    """A state belongs to something else than what is loaded."""

    expected: str
    found: str


@dataclass(eq=False)
class StateCorrupt(EngineError):
    """A state file is damaged."""

    path: str
    reason: str


@dataclass(eq=False)
class StoreFull(EngineError):
    """A state does not fit the byte budget."""

    needed: int
    budget: int


@dataclass(eq=False)
class DiskFailed(EngineError):
    """Writing or reading failed below us."""

    path: str
    reason: str


@dataclass(eq=False)
class DiskFull(EngineError):
    """Bytes needed and bytes free on the disk of `path`, found out before anything was written."""

    path: str
    needed: int
    free: int


@dataclass(eq=False)
class DownloadFailed(EngineError):
    """A transfer broke at `done` of `total` bytes."""

    url: str
    done: int
    total: int


@dataclass(eq=False)
class TuneDataInvalid(EngineError):
    """A training file cannot be read at `line`."""

    path: str
    line: int
    reason: str


@dataclass(eq=False)
class WorkerDied(EngineError):
    """The engine's process ended by itself."""

    exit_code: int


@dataclass(eq=False)
class EngineClosed(EngineError):
    """The engine was closed before or while the job ran."""


@dataclass(eq=False)
class Unexpected(EngineError):
    """Something nobody foresaw; the traceback is in the log."""

    kind: str
    detail: str
