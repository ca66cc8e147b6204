"""A thing that a person names: by its id, its title, or the beginning of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rwkv_chat.session.errors import SessionError

T = TypeVar("T")
SHOWN = 5  # names of those that may be meant
ID_LETTERS = 8  # of an id, enough to tell things apart


def named(
    name: str,
    among: Iterable[T],
    told: Callable[[T], tuple[str, str]],
    unknown: Callable[[str], SessionError],
    ambiguous: Callable[[str, tuple[str, ...]], SessionError],
    letters: int | None = ID_LETTERS,
) -> T:
    """The one of `among` that is meant. A whole id comes before a whole title, that before a beginning.

    Args:
        told: its id and its title.
        ambiguous: of the name, and of the names of those that it may mean.
        letters: how much of an id is said of those; None: all.

    Raises:
        What `unknown` and `ambiguous` make.
    """
    wanted, each_told = name.strip().casefold(), [(each, *told(each)) for each in among]
    for fits in (_is_id, _is_title, _begins):
        found = [(each, id_, title) for each, id_, title in each_told if wanted and fits(wanted, id_, title)]
        if len(found) > 1:
            names = tuple(f"{id_[:letters]} ({title})" for _, id_, title in found[:SHOWN])
            raise ambiguous(name, names)
        if found:
            return found[0][0]
    raise unknown(name)


def _is_id(wanted: str, id_: str, _: str) -> bool:
    return id_ == wanted


def _is_title(wanted: str, _: str, title: str) -> bool:
    return title.casefold() == wanted


def _begins(wanted: str, id_: str, title: str) -> bool:
    return id_.startswith(wanted) or title.casefold().startswith(wanted)
