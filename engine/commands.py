"""What is sent to a worker: picklable, whether it is a thread or a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from engine.store.fingerprint import Mark
    from engine.types import FeedRequest, GenerateRequest, InitialRequest, LoadRequest


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker is set up; picklable.

    Attributes:
        states: folder of the state store.  cache: folder for remembered hashes.
        budget_bytes: of the store.  threads: of the compute thread; None for the defaults.
    """

    states: Path
    cache: Path | None = None
    budget_bytes: int | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Identify:
    """Asks for the identity of the weights at `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A job."""

    job: int
    request: LoadRequest | GenerateRequest | FeedRequest | InitialRequest | Identify


@dataclass(frozen=True, slots=True)
class Known:
    """An identify job's outcome, from the worker's transfer thread to its compute thread."""

    job: int
    path: str
    mark: Mark
    id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    job: int


@dataclass(frozen=True, slots=True)
class Forget:
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keep:
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """Cancel everything, save, end."""


Command = Ask | Known | Cancel | Forget | Keep | Close
