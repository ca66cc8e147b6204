"""A chat log from a path: which format it is, and what is in it, one conversation after the other."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from rwkv_chat.importers import cards
from rwkv_chat.importers.arrange import shown as attachment_words
from rwkv_chat.importers.formats import FORMATS
from rwkv_chat.importers.forms import Conversation, Refused, Report, Skipped
from rwkv_chat.importers.sample import sample
from rwkv_chat.importers.sources import Meter, opened

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from rwkv_chat.importers.forms import Dates, Turn
    from rwkv_chat.importers.sample import Sample
    from rwkv_chat.importers.sources import Source

SHOWN_TURNS = 3
ASKED_CONVERSATIONS = 50  # are read to see who is there
_PAGE = ("<!doctype html", "<html")


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes read, of how many."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Guess:
    """What a log seems to be.

    Attributes:
        form: a key of `FORMATS`.
        turns: the first ones, to be shown.
        participants: names whose roles are to be chosen, as far as the log was read; () where it says.
        owner: who exported it, where it says.
        dates: which number was taken for the first one, where the dates leave that open.
    """

    form: str
    turns: tuple[tuple[str, str], ...]
    participants: tuple[str, ...]
    owner: str
    dates: Dates = ""


def form_of(found: Sample) -> str | None:
    """The first format that fits, a key of `FORMATS`; None for none."""
    return next((name for name, row in FORMATS.items() if row.fits(found)), None)


def conversations(path: Path, form: str = "") -> Generator[Conversation | Skipped | Progress, None, None]:
    """What is in a log. One bad record costs only itself.

    Args:
        form: a key of `FORMATS`, in place of the guess.

    Raises:
        Refused, OSError.
    """
    if path.is_file() and cards.is_png(path):
        yield from cards.read_png(path)
        return
    with _read(path, form) as (found, meter):
        told = 0
        for item in found:
            yield item
            if meter.done - told >= 1 << 20:
                told = meter.done
                yield Progress(min(told, meter.total), meter.total)
        yield Progress(meter.total, meter.total)


def report(path: Path, form: str = "") -> Report:
    """Everything read, nothing kept. Raises: see `conversations`."""
    told = Report()
    for item in conversations(path, form):
        if not isinstance(item, Progress):
            told.count(item)
    return told


def guess(path: Path, form: str = "") -> Guess:
    """The format of a log, its first turns, and who speaks in its beginning. Raises: see `conversations`."""
    found = (each for each in conversations(path, form) if isinstance(each, Conversation))
    first = list(islice(found, ASKED_CONVERSATIONS))
    if not first:
        raise Refused("0", "nothing")
    names = dict.fromkeys(name for each in first for name in each.participants)
    shown = tuple((each.author or each.role, _said(each)) for each in first[0].path()[:SHOWN_TURNS])
    owner = next((each.owner for each in first if each.owner), "")
    unsure = max(first, key=lambda each: bool(each.dates))
    return Guess(first[0].form, shown, tuple(names), owner, unsure.dates)


def _said(turn: Turn) -> str:
    """A word in the place of what is not text."""
    return turn.text or " ".join(map(attachment_words, turn.attachments))


@contextmanager
def _read(path: Path, form: str) -> Iterator[tuple[Iterator[Conversation | Skipped], Meter]]:
    with opened(path) as listed:
        found = list(listed)
        sources = [each for each in found if not isinstance(each, Skipped)]
        groups, others = _grouped(sources, form)
        if not groups:
            raise Refused("0", _why(sources))
        left_out = [each for each in found if isinstance(each, Skipped)]
        left_out += [Skipped("other-file", each.name) for each in others]
        used = [each for group in groups.values() for each in group]
        meter = used[0].meter
        meter.total = sum(each.size for each in used)
        yield _all(left_out, groups, meter), meter


def _all(
    left_out: list[Skipped], groups: dict[str, list[Source]], meter: Meter
) -> Iterator[Conversation | Skipped]:
    yield from left_out
    for form, sources in groups.items():
        yield from FORMATS[form].read(sources)
    yield from (Skipped("truncated", name) for name in meter.damaged)


def _grouped(sources: list[Source], form: str) -> tuple[dict[str, list[Source]], list[Source]]:
    """Files by format, and those of none."""
    groups: dict[str, list[Source]] = {}
    others: list[Source] = []
    for source in sources:
        its = form_of(sample(source))
        if form and (its in (form, FORMATS[form].of) or len(sources) == 1):
            its = form
        if its is None or (form and its != form):
            others.append(source)
        else:
            groups.setdefault(its, []).append(source)
    return groups, others


def _why(sources: list[Source]) -> str:
    """What hinders, where no file is a log: a word of the catalogue."""
    heads = [each.head[:2000].lower() for each in sources]
    if any(each.lstrip().startswith(_PAGE) for each in heads):
        return (
            "telegram-html"
            if any("telegram" in each or "message default" in each for each in heads)
            else "html"
        )
    return "unknown" if sources else "no-text"
