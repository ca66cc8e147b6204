"""What is typed into the Library's search: words to find, and filters among them.

`#tag`, `from:me`, `from:model`, `since:2026-01-31`, `until:2026-02-28`, `in:archive`, `in:trash`; all else is
searched for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rwkv_chat.library.search import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

ROLES = {"me": "user", "user": "user", "you": "user", "model": "assistant", "assistant": "assistant"}
_FILTER = re.compile(r'"[^"]*"?|(#|from:|since:|until:|in:)(\S+)|\S+')


@dataclass(frozen=True, slots=True)
class Typed:
    """A query in its parts.

    Attributes:
        wanted: with the words alone as its query.
        wrong: the first filter whose value means nothing, as it was typed; "" for none.
    """

    wanted: Wanted
    wrong: str = ""

    @property
    def searches(self) -> bool:
        """Messages are looked for; without words, conversations are listed."""
        return bool(self.wanted.query.strip())


def typed(text: str) -> Typed:
    """The words and filters of a line."""
    words, wanted, wrong = [], Wanted(""), ""
    for found in _FILTER.finditer(text):
        name, value = found.group(1), found.group(2)
        if name is None:
            words.append(found.group(0))
            continue
        changed = _FILTERS[name](wanted, value)
        wrong = wrong or ("" if changed else found.group(0))
        wanted = changed or wanted
    return Typed(replace(wanted, query=" ".join(words)), wrong)


def _role(wanted: Wanted, value: str) -> Wanted | None:
    role = ROLES.get(value.casefold())
    return replace(wanted, role=role) if role else None


def _since(wanted: Wanted, value: str) -> Wanted | None:
    day = _day(value)
    return replace(wanted, since=day.timestamp()) if day else None


def _until(wanted: Wanted, value: str) -> Wanted | None:
    day = _day(value)
    return replace(wanted, until=(day + timedelta(days=1)).timestamp()) if day else None


def _place(wanted: Wanted, value: str) -> Wanted | None:
    places = {"trash": replace(wanted, deleted=True), "archive": replace(wanted, archived=True)}
    return places.get(value.casefold())


def _day(value: str) -> datetime | None:
    """A day here, from its beginning; None for what no calendar has."""
    try:
        return datetime.strptime(value, "%Y-%m-%d").astimezone()
    except (ValueError, OverflowError, OSError):
        return None


_FILTERS: dict[str, Callable[[Wanted, str], Wanted | None]] = {
    "#": lambda wanted, value: replace(wanted, tag=value),
    "from:": _role,
    "since:": _since,
    "until:": _until,
    "in:": _place,
}
