"""Which model a person means: a path, or the name of one on the shelf. No header is read, no torch loaded."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ModelAmbiguous, ModelNotFound, ModelUnknown
from rwkv_chat.library import models
from rwkv_chat.paths import expanded
from rwkv_chat.session.cards import builtin
from rwkv_chat.session.errors import NotHereYet
from rwkv_chat.session.shelf_headers import SUFFIXES, label
from rwkv_chat.session.shelf_look import OUR_DEPTH
from rwkv_chat.session.shelf_offers import names_by_file
from rwkv_chat.session.shelf_scan import candidates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rwkv_chat.library.models import ModelRow
    from rwkv_chat.paths import Paths

GUIDE = ("guide", "built-in", "builtin")


def resolve(text: str, paths: Paths) -> Path:
    """`resolve_in` with the library's own rows, read through a connection that cannot write."""
    return resolve_in(text, models.look(paths.database), paths.models)


def resolve_in(text: str, rows: Iterable[ModelRow], folder: Path) -> Path:
    """The weights that `text` means: a file or folder; else the one whose name it is, or begins, or is part
    of, on the shelf or in our folder of models; "guide" is the built-in one.

    Raises:
        ModelNotFound: it is a path, and nothing is there.
        NotHereYet: it is the name of a model that can be downloaded.
        ModelUnknown, ModelAmbiguous: it is a name, of none or of several.
    """
    path = expanded(Path(text))
    if path.is_file() or (_is_path(text) and path.exists()):
        return path.absolute()
    if text.strip().lower() in GUIDE:
        return builtin().path
    if _is_path(text):
        raise ModelNotFound(text)
    try:
        return _named(text, {**_names(candidates(folder, OUR_DEPTH)), **_rows(rows)})
    except ModelUnknown:
        if path.is_dir():
            return path.absolute()
        if (name := text.strip().lower()) in names_by_file().values():
            raise NotHereYet(name) from None
        raise


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or Path(text).suffix.lower() in SUFFIXES


def _names(files: Iterable[Path]) -> dict[Path, set[str]]:
    short = names_by_file()
    return {each: {label(each).lower(), short.get(each.name, "").lower()} - {""} for each in files}


def _rows(rows: Iterable[ModelRow]) -> dict[Path, set[str]]:
    """Registered models answer to their short name in the catalogue, too."""
    offers = {Path(row.path): row.offer.lower() for row in rows}
    return {path: names | {offers[path]} - {""} for path, names in _names(offers).items()}


def _named(text: str, names: dict[Path, set[str]]) -> Path:
    wanted = text.strip().lower()
    for fits in (str.__eq__, str.startswith, str.__contains__):
        found = [path for path, given in names.items() if any(fits(each, wanted) for each in given)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelAmbiguous(text, tuple(_told_apart(found)))
    known = sorted({each for given in names.values() for each in given})
    raise ModelUnknown(text, (*(difflib.get_close_matches(wanted, known) or [*known[:8], GUIDE[0]]),))


def _told_apart(paths: list[Path]) -> list[str]:
    """Names; whole paths where two have the same."""
    names = sorted({label(each) for each in paths})
    return names if len(names) == len(paths) else sorted(map(str, paths))
