"""Logs that are trees: what was left out of them is bridged, circles are cut, one answer is one turn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rwkv_chat.importers.forms import Turn


def arranged(given: Mapping[str, tuple[str, Turn | None]], tip: str) -> tuple[tuple[Turn, ...], str, int]:
    """Turns of a tree, each after its parent.

    Args:
        given: id → (id of the parent, "" for none; the turn, None where it is left out).
        tip: where the chosen branch ends.

    Returns:
        The turns; the tip among them ("" where there is none); how many stood in a circle.
    """
    order = tuple(_downwards(given))
    above: dict[str, str] = {}  # the nearest one that is kept: itself or before it
    for each in order:
        parent, turn = given[each]
        above[each] = each if turn is not None else above.get(parent, "")
    parents = {each: above.get(given[each][0], "") for each in order if given[each][1] is not None}
    joined, place = _joined(given, parents)
    tip = above.get(tip, "")
    return tuple(joined.values()), place.get(tip, ""), len(given) - len(order)


def _downwards(given: Mapping[str, tuple[str, Turn | None]]) -> Iterator[str]:
    """Ids from the roots down, brothers in the order given; those in a circle are never reached."""
    children: dict[str, list[str]] = {}
    for each, (parent, _) in given.items():
        children.setdefault(parent if parent in given else "", []).append(each)
    waiting = list(reversed(children.get("", [])))
    while waiting:
        each = waiting.pop()
        yield each
        if each:
            waiting += reversed(children.get(each, []))


def _joined(
    given: Mapping[str, tuple[str, Turn | None]], parents: dict[str, str]
) -> tuple[dict[str, Turn], dict[str, str]]:
    """Answers that tools cut into pieces as one; and for each id where it went."""
    children = Counter(parents.values())
    turns: dict[str, Turn] = {}
    place: dict[str, str] = {}
    for each, parent in parents.items():
        turn, before = given[each][1], turns.get(place.get(parent, ""))
        if turn is None:
            continue
        if before is not None and turn.role == before.role == "assistant" and children[parent] == 1:
            place[each] = before.id
            turns[before.id] = _both(before, turn)
        else:
            place[each] = each
            turns[each] = replace(turn, id=each, parent=place.get(parent) or None)
    return turns, place


def _both(first: Turn, second: Turn) -> Turn:
    return replace(
        first,
        text="\n\n".join(filter(None, (first.text, second.text))),
        reasoning="\n\n".join(filter(None, (first.reasoning, second.reasoning))),
        attachments=first.attachments + second.attachments,
    )
