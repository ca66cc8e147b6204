"""From a chat of years to what can be trained on: sessions cut at gaps, none twice, split by time. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rwkv_chat.importers.forms import Conversation, Turn

GAP = 45 * 60.0  # seconds of silence that end a session
FEWEST = 2  # turns of a session that is worth keeping
VALIDATION = 0.1
MOST_HELD = 200  # every evaluation reads all of them


def sessions(conversation: Conversation, gap: float = GAP, fewest: int = FEWEST) -> Iterator[Conversation]:
    """The chosen branch, cut wherever nobody spoke for `gap` seconds; where no time is known, never."""
    found: list[Turn] = []
    number, last = 0, None
    for turn in conversation.path():
        silent = last is not None and turn.time is not None and turn.time - last > gap
        if silent and len(found) >= fewest:
            yield _session(conversation, found, number)
            number += 1
        if silent:
            found = []
        found.append(turn)
        last = turn.time if turn.time is not None else last
    if len(found) >= fewest:
        yield _session(conversation, found, number)


def _session(of: Conversation, turns: list[Turn], number: int) -> Conversation:
    first = replace(turns[0], parent=None)  # the others follow one another: they are one branch
    created = first.time if first.time is not None else of.created
    id_ = f"{of.id}:{of.part}:{number}"
    return replace(of, id=id_, turns=(first, *turns[1:]), created=created, tip=turns[-1].id, part=0)


def held_from(began: Sequence[float | None], share: float = VALIDATION) -> tuple[float, int] | None:
    """Where validation begins, by whole conversations and by time: the last to begin are held out, at least
    one where there are two, at most `MOST_HELD`. Those without a time count as the first; where none has one,
    the last in the file are held out.

    Args:
        began: when each began, in the order of the file.

    Returns:
        When the first one that is held out began, and its number in the file; None where none is.
    """
    if len(began) < 2 or share <= 0:
        return None
    held = min(max(round(len(began) * share), 1), len(began) - 1, MOST_HELD)
    ordered = sorted((each or 0.0, number) for number, each in enumerate(began))
    return ordered[len(began) - held]
