"""From a chat of years to what can be trained on: sessions cut at gaps, none twice, split by time. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rwkv_chat.importers.forms import Conversation, Turn

GAP = 45 * 60.0  # seconds of silence that end a session
FEWEST = 2  # turns of a session that is worth keeping
VALIDATION = 0.1


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
    linked = [replace(turn, parent=turns[at - 1].id if at else None) for at, turn in enumerate(turns)]
    created = linked[0].time if linked[0].time is not None else of.created
    id_ = f"{of.id}:{of.part}:{number}"
    return replace(of, id=id_, turns=tuple(linked), created=created, tip=linked[-1].id, part=0)


def unlike(found: Iterable[Conversation]) -> Iterator[Conversation]:
    """Those that say what none before them said: who and what, but not when."""
    seen: set[bytes] = set()
    for each in found:
        told = hashlib.blake2b(digest_size=16)
        for turn in each.path():
            told.update(
                f"{turn.role}\0{turn.author}\0{' '.join(turn.text.split())}\0".encode("utf-8", "replace")
            )
        if (key := told.digest()) not in seen:
            seen.add(key)
            yield each


def split(
    found: Sequence[Conversation], share: float = VALIDATION
) -> tuple[list[Conversation], list[Conversation]]:
    """Train and validation, by whole conversation and by time: the last to begin are held out, at least one
    where there are two. Those without a time count as the first.
    """
    ordered = sorted(found, key=lambda each: each.created or 0.0)
    held = min(max(round(len(ordered) * share), 1), len(ordered) - 1) if len(ordered) > 1 else 0
    at = len(ordered) - held
    return ordered[:at], ordered[at:]
