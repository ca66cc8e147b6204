"""A long history is sent to another process where it is wanted, and reads there as if it had been sent."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.commands import Ask, Lent
from engine.errors import EngineClosed, InvalidRequest
from engine.keys import CHECKED
from engine.lent import END, Borrowed, Borrower, Lender
from engine.prefix import extend
from engine.types import Cancelled, Failed, Fed, FeedRequest, GenerateRequest, Piece, Prefilled
from tests.engine.small import ask, engine_on, outcome, request

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import LoadRequest, TokenIds

IDS = st.lists(st.integers(0, 9), min_size=1, max_size=12).map(tuple)
PLACE = st.none() | st.integers(-20, 20)
drawn = random.Random(1)
LONG: TokenIds = tuple(drawn.randrange(1, 200) for _ in range(CHECKED + 100))


def borrowed(history: TokenIds, end: int) -> tuple[Borrowed, list[int]]:
    """A history of which so many tokens are here, and how often the rest was wanted."""
    wanted: list[int] = []

    def want() -> None:
        wanted.append(1)
        lent.give(history)

    lent = Borrowed(Lent(len(history), history[len(history) - end :]), want)
    return lent, wanted


@given(history=IDS, end=st.integers(1, 12), start=PLACE, stop=PLACE, step=st.sampled_from((None, 1, 2, -1)))
def test_every_part_is_that_of_the_whole(
    history: tuple, end: int, start: int | None, stop: int | None, step: int | None
) -> None:
    end = min(end, len(history))
    lent, wanted = borrowed(history, end)
    part = lent[start:stop:step]
    assert (part, type(part)) == (history[start:stop:step], tuple)
    for place in range(-len(history), len(history)):
        assert lent[place] == history[place]
    assert (tuple(lent), len(lent), bool(lent)) == (history, len(history), True)
    assert len(wanted) == 1, "it is sent once"
    for place in (len(history), -len(history) - 1):
        with pytest.raises(IndexError):
            _ = lent[place]


def test_for_the_end_alone_nothing_is_wanted() -> None:
    history = tuple(range(1_000))
    lent, wanted = borrowed(history, 10)
    assert (lent[-1], lent[995], lent[-10:], lent[999:1_005]) == (999, 995, history[-10:], (999,))
    assert (lent[1_000:], lent[5:5]) == ((), ())
    assert not wanted


@pytest.mark.parametrize(
    "asked",
    [
        request((1,), LONG),
        request((1,), LONG[:CHECKED], start=extend(LONG[:CHECKED])),
        request((1, 2)),
    ],
    ids=["no key", "short", "none"],
)
def test_what_is_short_or_has_no_key_is_sent(asked: GenerateRequest) -> None:
    ask_ = Ask(1, asked)
    assert Lender().lend(ask_) is ask_
    assert Borrower(lambda _: None).borrow(ask_) is ask_


def test_it_is_kept_until_it_was_read() -> None:
    lender = Lender()
    start = extend(LONG)
    for job in (1, 2):
        sent = lender.lend(Ask(job, request((1,), LONG, start=start)))
        assert sent.lent == Lent(len(LONG), LONG[-END:])
        assert isinstance(sent.request, GenerateRequest)
        assert sent.request == replace(request((1,)), start=start)
    lender.told(1, Prefilled(1, 2))
    assert lender.history(1) is LONG
    lender.told(1, Piece(0, "a", (1,)))
    lender.told(2, Cancelled())
    assert (lender.history(1), lender.history(2), lender.history(3)) == ((), (), ())


def test_who_waits_for_what_does_not_come_stops() -> None:
    """The asking process has ended, or its job has."""
    waiting = threading.Event()
    borrower = Borrower(lambda _: waiting.set())
    taken = borrower.borrow(Ask(1, request((1,)), Lent(1_000, (5,))))
    assert isinstance(taken.request, GenerateRequest)
    failed: list[EngineClosed] = []

    def read() -> None:
        try:
            _ = taken.request.history[0]  # pyright: ignore[reportAttributeAccessIssue]  narrowed above
        except EngineClosed as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    waiting.wait()
    borrower.close()
    thread.join()
    assert len(failed) == 1
    with pytest.raises(EngineClosed):
        _ = taken.request.history[0]


def test_nothing_is_sent_where_the_state_is_there_and_all_of_it_where_not(
    model: LoadRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is said then is what a thread says."""
    sent: list[int] = []
    kept = Lender.history

    def history(self: Lender, job: int) -> TokenIds:
        sent.append(job)
        return kept(self, job)

    monkeypatch.setattr(Lender, "history", history)
    start = extend(LONG)
    said = {}
    for kind in ("thread", "process"):
        with engine_on(tmp_path / kind, model, kind) as engine:
            assert isinstance(outcome(engine.submit(FeedRequest(LONG))).events[-1], Fed)
            there = ask(engine, request((3, 4), LONG, start=start)).finished
            assert (there.usage.history_tokens, sent) == (0, [])
            engine.forget([start])
            again = ask(engine, request((5, 6), LONG, start=start)).finished
            assert again.usage.history_tokens == len(LONG)
            assert len(sent) == (kind == "process")
            wrong = ask(engine, request((7, 8), LONG, start=extend(LONG[:-1])))
            assert isinstance(end := wrong.events[-1], Failed)
            assert isinstance(end.error, InvalidRequest)
            said[kind] = there.tokens, again.tokens
    assert said["thread"] == said["process"]
