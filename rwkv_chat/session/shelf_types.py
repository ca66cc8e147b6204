"""What the shelf tells: values only. `Shelf` makes them, front ends show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import TokenizerMissing

if TYPE_CHECKING:
    from pathlib import Path

    from engine.errors import EngineError
    from engine.types import ModelSpec, TokenIds
    from engine.weights.catalog import Entry
    from engine.weights.fit import Fit
    from rwkv_chat.library.models import Source
    from rwkv_chat.session.cards import ModelCard

FoundKind = Literal["model", "tuned-state", "adapter", "unsupported", "damaged"]


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """A model on this machine.

    Attributes:
        card: its name, path, template, sampling and tokenizer.
        source: where it came from; "built-in" comes with the program.
        format: as `Archive.format`.  spec: None where the header cannot be read.
        nbytes: of its files.
        id: SHA-256 of the weights ("" until computed).
        offer: its name in the catalogue ("" where it is not from there).
        checked: what its SHA-256 was compared with: "known", "host", "mirror" (unverified), "" (nothing).
        error: why it cannot be used now, None where it can.
        missing: whether nothing lies at its path (deleted, or on a disk that is not connected).
        fits: what it would take on this machine, by tier; empty while unknown.
        added, verified: seconds since the epoch; `verified` None until every byte was looked at.
    """

    card: ModelCard
    source: Source
    format: str = ""
    spec: ModelSpec | None = None
    nbytes: int = 0
    id: str = ""
    offer: str = ""
    checked: str = ""
    error: EngineError | None = None
    missing: bool = False
    fits: tuple[Fit, ...] = ()
    added: float = 0.0
    verified: float | None = None

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def path(self) -> Path:
        return self.card.path

    @property
    def readable(self) -> bool:
        """Whether it is a model that the engine reads, even if it cannot speak for want of a tokenizer."""
        return self.error is None or isinstance(self.error, TokenizerMissing)

    @property
    def ours(self) -> bool:
        """Whether its files are a download or a copy of ours, and so may be deleted with it."""
        return self.source in ("downloaded", "copied")


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be downloaded.

    Attributes:
        entry: what the catalogue knows of it.
        fits: what it would take on this machine, by tier.
        here: the weights, where they are on the shelf already.
        partial: bytes of a download that was paused or broken off.
        advice: whether it is the one to recommend on this machine.
        live: whether the release repository lists it and our catalogue does not.
    """

    entry: Entry
    fits: tuple[Fit, ...] = ()
    here: Path | None = None
    partial: int = 0
    advice: bool = False
    live: bool = False

    @property
    def name(self) -> str:
        return self.entry.name


@dataclass(frozen=True, slots=True)
class Found:
    """One file or folder that an import looked at.

    Attributes:
        kind: what it is.  entry: its place on the shelf, for a model.
        error: why it is not used, for "unsupported" and "damaged".
    """

    path: Path
    kind: FoundKind
    entry: ShelfEntry | None = None
    error: EngineError | None = None


@dataclass(frozen=True, slots=True)
class Info:
    """Everything that is known of a model without reading its weights.

    Attributes:
        files: those that hold the weights, with their bytes.
        params: numbers in all its tensors.
        types: what they are stored as: ("bf16", 398 tensors) …
        state_nbytes: of one sequence, in fp32.
        notes: what else the file says of itself.
        converted: layouts kept for quicker loading, with their bytes.
    """

    entry: ShelfEntry
    files: tuple[tuple[Path, int], ...]
    params: int
    types: tuple[tuple[str, int], ...]
    state_nbytes: int
    notes: dict[str, str]
    converted: tuple[tuple[Path, int], ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """Every byte of a model was looked at and is sound; ends a verification.

    Attributes:
        id: the SHA-256 that was computed.
        compared: with what it was found equal: "known" (the catalogue's), "before" (an earlier look at these
            weights, or their download), "" (nothing to compare with).
        tensors: how many were read; all their numbers are finite.
    """

    path: Path
    id: str
    compared: Literal["known", "before", ""]
    tensors: int


@dataclass(frozen=True, slots=True)
class Golden:
    """A greedy continuation held against the published one; ends a golden run.

    Attributes:
        first: where the first token differs, None where all agree.
    """

    expected: TokenIds
    found: TokenIds
    first: int | None


@dataclass(frozen=True, slots=True)
class Converted:
    """A model was written in another format; ends a conversion.

    Attributes:
        modelfile: of Ollama, None where none was asked for.
    """

    path: Path
    nbytes: int
    modelfile: Path | None = None
