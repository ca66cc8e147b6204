"""Models to begin with: what fits this machine, from the smallest on, with size and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.amounts import duration
from rwkv_chat.explain import size
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say
from rwkv_chat.tui.shelf_rows import best_fit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rwkv_chat.session.shelf_types import Offer

PACE = 10_000_000  # bytes a second that a time is told for: nobody knows the person's own
SMALL = 2  # so many of the smallest, and the one that is advised


@dataclass(frozen=True, slots=True)
class Starter:
    """A model to begin with.

    Attributes:
        name: of the offer.  words: its name, size and time in one line.
    """

    name: str
    words: str


def starters(offers: Iterable[Offer]) -> tuple[Starter, ...]:
    """The smallest that fit, and what is advised for this machine; none of those that are here."""
    fitting = [each for each in offers if each.here is None and _fits(each)]
    newest: dict[str, Offer] = {}
    for each in sorted(fitting, key=lambda each: each.entry.date, reverse=True):
        newest.setdefault(f"{each.entry.params:.1g}", each)
    smallest = sorted(newest.values(), key=lambda each: each.entry.size)[:SMALL]
    advised = [each for each in fitting if each.advice and each not in smallest]
    return tuple(_starter(each) for each in (*smallest, *advised))


def _fits(offer: Offer) -> bool:
    fit = best_fit(offer.fits)
    return offer.entry.chat and fit is not None and bool(fit.fits)


def _starter(offer: Offer) -> Starter:
    nbytes = offer.entry.size - offer.partial
    key = "starter_advised" if offer.advice else "starter"
    words = say(
        f"app.welcome.{key}",
        model=title(offer.name),
        size=size(nbytes),
        time=duration(nbytes / PACE),
    )
    return Starter(offer.name, words)
