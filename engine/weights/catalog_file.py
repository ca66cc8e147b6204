"""Reads `assets/models.toml` and checks it: every value's kind, every reference, every hash's form."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import CatalogInvalid
from engine.weights.catalog_entry import Companion, Entry, Series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMAT = 1
LARGEST = 4 << 20  # bytes; a catalogue is a page or two
TOKENIZERS = ("world", "20b")
_HASH = re.compile("[0-9a-f]{64}")
_FILE = re.compile(r"[A-Za-z0-9][\w.%+-]*\.pth")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Row:
    """A table of the file; reading a wrong value says where it stands."""

    path: str
    where: str
    values: dict[str, Any]

    def get(self, name: str, kind: type[Kind], default: Kind | None = None) -> Kind:
        """The value of `name`; required where there is no default.  Raises CatalogInvalid."""
        value = self.values.get(name, default)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(f"{name} is missing" if value is None else f"{name} = {value!r}")
        return value

    def count(self, name: str, default: int | None = None) -> int:
        """A positive number."""
        value = self.get(name, int, default)
        if value <= 0:
            raise self.wrong(f"{name} = {value}")
        return value

    def text(self, name: str, form: re.Pattern[str]) -> str:
        """A text of one form."""
        value = self.get(name, str)
        if not form.fullmatch(value):
            raise self.wrong(f"{name} = {value!r}")
        return value

    def rows(self, name: str) -> list[Row]:
        """The tables under a list's name."""
        listed = self.get(name, list)
        for number, each in enumerate(listed):
            if not isinstance(each, dict):
                raise self.wrong(f"{name}[{number}] is no table")
        return [self.below(f"{name}[{number}]", each) for number, each in enumerate(listed)]

    def below(self, name: str, values: dict[str, Any]) -> Row:
        return Row(self.path, f"{self.where}.{name}".lstrip("."), values)

    def named(self, table: str, name: str) -> Row:
        """The table `name` of the table of tables `table`."""
        found = self.get(table, dict).get(name)
        if not isinstance(found, dict):
            raise self.wrong(f"no {table}.{name}")
        return self.below(f"{table}.{name}", found)

    def wrong(self, reason: str) -> CatalogInvalid:
        return CatalogInvalid(self.path, self.where or "the file", reason[:200])


def read_file(path: Path) -> tuple[tuple[Series, ...], tuple[Entry, ...]]:
    """The series in the file's order, and every model, newest first.

    Raises:
        CatalogInvalid: it cannot be read, or what stands there is nonsense.
    """
    top = Row(str(path), "", _parsed(path))
    if top.count("format") != FORMAT:
        raise top.wrong("format of another version")
    families = top.rows("family")
    entries = [entry for family in families for entry in _entries(top, family)]
    for what in ("name", "file"):
        _check_unique(top, what, [getattr(entry, what).lower() for entry in entries])
    series = tuple(_series(family) for family in families)
    _check_unique(top, "id", [each.id for each in series])
    return series, newest_first(entries)


def newest_first(entries: list[Entry]) -> tuple[Entry, ...]:
    """By date, the larger first among those of one day."""
    return tuple(sorted(entries, key=lambda entry: (entry.date, entry.params), reverse=True))


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise CatalogInvalid(str(path), "the file", "too large")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogInvalid(str(path), "the file", error.strerror or "unreadable") from error
    except (ValueError, RecursionError) as error:
        raise CatalogInvalid(str(path), "the file", str(error)[:200]) from error


def _check_unique(top: Row, what: str, values: list[str]) -> None:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice:
        raise top.wrong(f"{what} {twice!r} stands twice")


def _series(family: Row) -> Series:
    return Series(
        family.get("id", str), family.get("title", str), family.get("chat", bool), family.get("note", str, "")
    )


def _companion(top: Row, tokenizer: str) -> Companion | None:
    if tokenizer == "world":  # comes with the program
        return None
    row = top.named("companions", tokenizer)
    urls = row.get("urls", list)
    if not urls or not all(isinstance(url, str) and url.startswith("https://") for url in urls):
        raise row.wrong("urls")
    file = row.text("file", re.compile(r"\w[\w.-]*"))
    return Companion(file, row.count("size"), row.text("sha256", _HASH), tuple(urls))


def _entries(top: Row, family: Row) -> list[Entry]:
    tokenizer = family.get("tokenizer", str)
    if tokenizer not in TOKENIZERS:
        raise family.wrong(f"tokenizer = {tokenizer!r}")
    companion = _companion(top, tokenizer)
    return [_entry(top, family, row, tokenizer, companion) for row in family.rows("models")]


def _entry(top: Row, family: Row, row: Row, tokenizer: str, companion: Companion | None) -> Entry:
    shape = top.named("shapes", row.get("shape", str))
    exact = "size" in row.values
    home = row if "repository" in row.values else family
    return Entry(
        name=row.get("name", str),
        family=family.get("id", str),
        file=row.text("file", _FILE),
        repository=home.text("repository", _REPOSITORY),
        modelscope=_if_given(home, "modelscope", lambda: home.text("modelscope", _REPOSITORY)),
        size=row.count("size" if exact else "about"),
        exact=exact,
        sha256=_if_given(row, "sha256", lambda: row.text("sha256", _HASH)),
        params=shape.count("params"),
        n_layer=shape.count("layers"),
        n_embd=shape.count("width"),
        vocab_size=shape.count("vocabulary"),
        context=row.count("context"),
        date=row.get("date", date),
        data=row.get("data", str),
        arch=shape.get("arch", str),
        licence=family.get("licence", str),
        tokenizer=tokenizer,
        chat=family.get("chat", bool),
        companion=companion,
    )


def _if_given(row: Row, name: str, read: Callable[[], str]) -> str | None:
    return read() if name in row.values else None
