"""What is sent to a worker: picklable, whether it is a thread or a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from engine.store.fingerprint import Mark
    from engine.types import (
        AdaptRequest,
        FeedRequest,
        GenerateRequest,
        HoldRequest,
        InitialRequest,
        InspectRequest,
        Ladder,
        LoadRequest,
        SamplingParams,
        ScoreRequest,
        ThinRequest,
        TokenIds,
        UnloadRequest,
        UseRequest,
    )


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker is set up; picklable.

    Attributes:
        states: folder of the state store; None: there is none.  cache: folder for remembered hashes.
        budget_bytes: of the store.  ram_bytes: of states kept in memory beside it.
        threads: of the compute thread.  None for the defaults.
    """

    states: Path | None
    cache: Path | None = None
    budget_bytes: int | None = None
    threads: int | None = None
    ram_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Identify:
    """Asks for the identity of the weights at `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class Lent:
    """In the place of a long history, which whoever asks keeps back: its length and its last tokens."""

    length: int
    end: TokenIds


@dataclass(frozen=True, slots=True)
class Ask:
    """A job. What it is asked for lacks the history where that is `lent`."""

    job: int
    request: Request
    lent: Lent | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What was lent to a job, whole; empty where there is no such any more."""

    job: int
    tokens: TokenIds


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
class Change:
    """Of a reply that is being written, from its next token on."""

    job: int
    params: SamplingParams


@dataclass(frozen=True, slots=True)
class Forget:
    """See `StateStore.forget`."""

    prefixes: tuple[str, ...]
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    ladders: tuple[Ladder, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Of states by file name; see `StateStore.release`."""

    names: tuple[str, ...]
    forget: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes on the disk and in RAM; None for the defaults."""

    disk: int | None
    ram: int | None


@dataclass(frozen=True, slots=True)
class Close:
    """Cancel everything, save, end."""


Command = Ask | History | Known | Cancel | Change | Forget | Keep | Tell | Release | Budget | Close
if TYPE_CHECKING:
    Request = (
        LoadRequest
        | GenerateRequest
        | FeedRequest
        | ScoreRequest
        | InitialRequest
        | AdaptRequest
        | UnloadRequest
        | InspectRequest
        | HoldRequest
        | ThinRequest
        | UseRequest
        | Identify
    )
