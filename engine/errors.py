"""The engine's errors. They carry data, not sentences: the app's `explain.py` words them.

EngineError
├── ModelNotFound(path)
├── WeightsCorrupt(path, where, expected, found)
├── FileChanged(path)
├── UnsupportedFormat(path, hint)
├── AdapterMismatch(path, where, expected, found)
├── TokenizerInvalid(path, reason)
├── TokenizerMissing(path, file)
├── InvalidParameter(name, value, low, high)
├── InvalidRequest(reason)
├── OutOfMemory(needed, free, hint)
├── DeviceUnavailable(device)
├── TierUnavailable(tier, device)
├── Bf16Missing(device)
├── ModelNotLoaded()
├── StateMismatch(expected, found)
│   └── TunedStateMismatch(expected, found, path)
├── StateCorrupt(path, reason)
├── StateMissing(prefix)
├── StoreFull(needed, budget, held)
├── DiskFailed(path, reason)
├── DiskFull(path, needed, free)
├── DownloadFailed(url, done, total, hint)
├── Offline(host)
├── FileGone(url)
├── AccessRefused(url, status)
├── RedirectRefused(url, target)
├── DownloadMismatch(url, hint, expected, found)
├── DownloadBusy(path)
├── FileInTheWay(path)
├── CatalogInvalid(path, where, reason)
├── ModelUnknown(name, near)
├── ModelAmbiguous(name, candidates)
├── ModelGone(name, replacement)
├── NotAtSource(name, source)
├── TuneDataInvalid(path, line, reason)
├── TuneBusy(path)
├── NotFinite()
├── WorkerDied(exit_code, hint)
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
class FileChanged(EngineError):
    """A weights file was changed by somebody else while it was being read."""

    path: str


@dataclass(eq=False)
class UnsupportedFormat(EngineError):
    """A file of a kind that cannot be loaded; `hint` is a short word for the kind seen."""

    path: str
    hint: str


@dataclass(eq=False)
class AdapterMismatch(EngineError):
    """An adapter belongs to another model; `where` names the tensor that differs."""

    path: str
    where: str
    expected: str
    found: str


@dataclass(eq=False)
class TokenizerInvalid(EngineError):
    """A tokenizer file cannot be used."""

    path: str
    reason: str


@dataclass(eq=False)
class TokenizerMissing(EngineError):
    """The model at `path` needs a tokenizer called `file` beside it."""

    path: str
    file: str


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
    """Bytes needed and bytes free on the device.

    `hint` is what would fit: "bf16", "fp16", "int8", "int4" (`--dtype` takes them), "cpu" (main memory),
    "smaller-model" (no form of this one), or "smaller" where that is not known.
    """

    needed: int
    free: int
    hint: str = "smaller"


@dataclass(eq=False)
class DeviceUnavailable(EngineError):
    """The device asked for is not on this machine."""

    device: str


@dataclass(eq=False)
class CardLost(EngineError):
    """A kernel that was tried took the device from this process; it will not be tried again."""

    device: str


@dataclass(eq=False)
class TierUnavailable(EngineError):
    """There is no way yet to compute with this form of weights on that device."""

    tier: str
    device: str


@dataclass(eq=False)
class Bf16Missing(EngineError):
    """Tuning on a base in bf16, int8 or NF4 computes in bf16, which the card cannot."""

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
class TunedStateMismatch(StateMismatch):
    """The tuned state in the file at `path` is of a model of another size."""

    path: str


@dataclass(eq=False)
class StateCorrupt(EngineError):
    """A state file is damaged."""

    path: str
    reason: str


@dataclass(eq=False)
class StateMissing(EngineError):
    """There is no saved state of this prefix key."""

    prefix: str


@dataclass(eq=False)
class StoreFull(EngineError):
    """A state of `needed` bytes does not fit the budget; `held` bytes of it are pinned or have a name."""

    needed: int
    budget: int
    held: int = 0


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
    """A transfer broke at `done` of `total` bytes (0: not known), also when tried again.

    Attributes:
        hint: "dropped", "stalled", "busy" (the server asks for patience), "server" (it failed), "changed"
            (the file did, again and again), "insecure" (the server's certificate is not trusted) or
            "nonsense" (what it sent breaks the protocol).
    """

    url: str
    done: int
    total: int
    hint: str = "dropped"


@dataclass(eq=False)
class Offline(EngineError):
    """There is no way to `host` from here: no network, no such name, nobody listening."""

    host: str


@dataclass(eq=False)
class FileGone(EngineError):
    """No address has the file (any more); `url` is the first that was tried."""

    url: str


@dataclass(eq=False)
class AccessRefused(EngineError):
    """The server wants a token, or another one."""

    url: str
    status: int


@dataclass(eq=False)
class RedirectRefused(EngineError):
    """An address, or what it redirects to, is not https and not on this machine; or redirects do not end."""

    url: str
    target: str


@dataclass(eq=False)
class DownloadMismatch(EngineError):
    """What the server has is not the file that was asked for; what was fetched of it is removed.

    Attributes:
        hint: "sha256" or "size": what differs.
    """

    url: str
    hint: str
    expected: str
    found: str


@dataclass(eq=False)
class DownloadBusy(EngineError):
    """Another program is fetching the file that would stand at `path`."""

    path: str


@dataclass(eq=False)
class FileInTheWay(EngineError):
    """At `path` stands another file than the one asked for; it was left untouched."""

    path: str


@dataclass(eq=False)
class CatalogInvalid(EngineError):
    """The list of models cannot be used."""

    path: str
    where: str
    reason: str


@dataclass(eq=False)
class ModelUnknown(EngineError):
    """No model is called `name`; `near` are names that come near."""

    name: str
    near: tuple[str, ...]


@dataclass(eq=False)
class ModelAmbiguous(EngineError):
    """Several models may be meant by `name`: the newest of them."""

    name: str
    candidates: tuple[str, ...]


@dataclass(eq=False)
class ModelGone(EngineError):
    """The file of the model `name` was removed from its repository.

    Attributes:
        replacement: short name of the newest of its size.
    """

    name: str
    replacement: str


@dataclass(eq=False)
class NotAtSource(EngineError):
    """A model of the catalogue is not known to be at the source that was asked for."""

    name: str
    source: str


@dataclass(eq=False)
class TuneDataInvalid(EngineError):
    """A training file cannot be read at `line`."""

    path: str
    line: int
    reason: str


@dataclass(eq=False)
class TuneBusy(EngineError):
    """Another process is at the tuning run in the folder at `path`."""

    path: str


@dataclass(eq=False)
class NotFinite(EngineError):
    """The model gave logits of which none is a finite number."""


@dataclass(eq=False)
class WorkerDied(EngineError):
    """The engine's process ended by itself; `hint` is a short word for the usual reason."""

    exit_code: int
    hint: str = "memory"


@dataclass(eq=False)
class EngineClosed(EngineError):
    """The engine was closed before or while the job ran."""


@dataclass(eq=False)
class Unexpected(EngineError):
    """Something nobody foresaw; the traceback is in the log."""

    kind: str
    detail: str
