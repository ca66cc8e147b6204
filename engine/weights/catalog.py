"""The models that can be fetched, and how one of them is found by a name that a person types.

Nothing here loads torch or opens a connection: what a repository holds at this moment is told by
`engine.weights.hub.live_files` and added with `Catalog.with_live`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import ModelAmbiguous, ModelUnknown
from engine.weights.catalog_entry import Companion, Entry, Series
from engine.weights.catalog_file import newest_first, read_file
from engine.weights.file_names import is_size, parameters, parse_name, words

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Catalog", "Companion", "Entry", "LiveFile", "Series", "read_catalog", "same_size"]

SAME_SIZE = 1.25  # two models whose parameters differ by no more than this factor are of one size
MOST_NAMED = 8  # candidates named in an error

# the first data version of a series → the series; the latest first
_FIRST_OF = (("g1h", "g1h"), ("g1c", "g1c"))


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file that a repository holds now.

    Attributes:
        sha256: the repository's own word; None for a small file that it keeps another way.
    """

    repository: str
    file: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Catalog:
    """Attributes:
    series: in the order to show them, newest first.  entries: every file, newest first.
    """

    series: tuple[Series, ...]
    entries: tuple[Entry, ...]

    def find(self, typed: str) -> tuple[Entry, ...]:
        """Every entry that a typed name may mean, newest first; exactly one for a file's or a short name."""
        wanted = typed.strip().lower()
        for entry in self.entries:
            if wanted in {entry.name.lower(), entry.file.lower(), entry.file.lower().removesuffix(".pth")}:
                return (entry,)
        asked = set(words(typed))
        return tuple(entry for entry in self.entries if asked and asked <= _words_of(entry))

    def choose(self, typed: str) -> Entry:
        """The one entry that a typed name means. A size alone ("0.4b", "7b") means the newest model for
        chat of that size.

        Raises:
            ModelUnknown: nothing is called like that; it names what comes near.
            ModelAmbiguous: several are; it names them.
        """
        if len(found := self.find(typed)) == 1:
            return found[0]
        asked = words(typed)
        if len(asked) == 1 and is_size(asked[0]):
            sized = (entry for entry in self.entries if _is_of(entry, asked[0]))
            if newest := next((entry for entry in sized if entry.chat and entry.loadable), None):
                return newest
        if not found:
            raise ModelUnknown(typed, tuple(self._near(typed)))
        raise ModelAmbiguous(typed, tuple(entry.name for entry in found[:MOST_NAMED]))

    def newest(self) -> tuple[Entry, ...]:
        """The newest model for chat of each size, the largest first."""
        chosen: list[Entry] = []
        for entry in self.entries:
            usable = entry.chat and entry.loadable
            if usable and not any(same_size(entry.params, other.params) for other in chosen):
                chosen.append(entry)
        return tuple(sorted(chosen, key=lambda entry: entry.params, reverse=True))

    def replacement(self, gone: Entry, live: Iterable[LiveFile]) -> Entry | None:
        """The newest file of the same size among those that the repository holds now."""
        here = {(each.repository, each.file) for each in live}
        for entry in self.entries:
            there = (entry.repository, entry.file) in here and entry.file != gone.file
            if there and entry.loadable and same_size(entry.params, gone.params):
                return entry
        return None

    def with_live(self, live: Iterable[LiveFile]) -> Catalog:
        """With what a repository holds now: exact sizes and hashes where the catalogue had none, and the
        files that it does not know, with what their names say.
        """
        held = {(each.repository, each.file): each for each in live}
        known = [_confirmed(entry, held.pop((entry.repository, entry.file), None)) for entry in self.entries]
        names = {entry.name for entry in known}
        new = [entry for each in held.values() if (entry := self._unlisted(each, names))]
        return Catalog(self.series, newest_first([*known, *new]))

    def _near(self, typed: str) -> list[str]:
        names = [entry.name for entry in self.entries]
        near = difflib.get_close_matches(typed.strip().lower(), names, MOST_NAMED)
        return near or [entry.name for entry in self.newest()]

    def _unlisted(self, each: LiveFile, names: set[str]) -> Entry | None:
        """A file that the catalogue does not know; its shape is taken to be that of its size."""
        said = parse_name(each.file)
        if said is None:
            return None
        short = f"{said.data}-{said.size}" if said.arch == "rwkv7" else f"{said.arch}-{said.data}-{said.size}"
        name = f"{short}-{said.date:%Y%m%d}" if short in names else short
        names.add(name)
        like = next((e for e in self.entries if e.arch == "rwkv7" and e.label == said.size), None)
        return Entry(
            name=name,
            family=_series_of(said.data),
            file=each.file,
            repository=each.repository,
            modelscope=None,
            size=each.size,
            exact=True,
            sha256=None,
            params=like.params if like else parameters(said.size),
            n_layer=like.n_layer if like else 0,
            n_embd=like.n_embd if like else 0,
            vocab_size=like.vocab_size if like else 0,
            context=said.context,
            date=said.date,
            data=said.data,
            arch=said.arch,
            licence="",
            tokenizer="world",
            chat=True,
            listed=False,
            loadable=said.arch == "rwkv7",
        )


def read_catalog(path: Path) -> Catalog:
    """The catalogue in a file.  Raises: CatalogInvalid."""
    return Catalog(*read_file(path))


def same_size(params: int, others: int) -> bool:
    """Whether two numbers of parameters are of one size."""
    return max(params, others) <= SAME_SIZE * min(params, others)


def _words_of(entry: Entry) -> set[str]:
    """What may be typed to mean an entry."""
    version = entry.arch.removeprefix("rwkv")
    kinds = {
        entry.arch,
        f"v{version}",
        f"rwkv{version[:1]}",
        f"v{version[:1]}",
        entry.data.lower(),
        entry.label,
    }
    return {*words(entry.name), *words(entry.file), *kinds}


def _is_of(entry: Entry, size: str) -> bool:
    """Whether an entry is of the size that a label claims; its own label may be generous (0.1b is 0.19)."""
    return entry.label == size or same_size(entry.params, parameters(size))


def _confirmed(entry: Entry, live: LiveFile | None) -> Entry:
    """An entry with the size that the repository tells."""
    return entry if live is None else replace(entry, size=live.size, exact=True)


def _series_of(data: str) -> str:
    """The series of a release by its data version; later letters sort later."""
    return next((series for first, series in _FIRST_OF if data >= first), "g1")
