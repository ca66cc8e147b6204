"""Jobs: events in order, coalesced for a loop, none lost, always an end."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from engine.errors import EngineClosed
from engine.job import WAKES_PER_SECOND, Job, coalesce
from engine.types import Cancelled, Failed, Finished, Piece, Prefilled, Usage


def finished(index: int = 0) -> Finished:
    return Finished(index, "stop", (), "", Usage(), "")


def job(ends: int = 1) -> Job:
    return Job(1, ends, lambda: None)


def test_neighbouring_pieces_of_one_alternative_are_joined() -> None:
    pieces = [Piece(0, "a", (1,)), Piece(0, "b", (2,)), Piece(1, "x", (3,)), Piece(0, "c", ())]
    joined = coalesce([Prefilled(1, 1), *pieces, finished()])
    assert joined == [
        Prefilled(1, 1),
        Piece(0, "ab", (1, 2)),
        Piece(1, "x", (3,)),
        Piece(0, "c", ()),
        finished(),
    ]


@pytest.mark.parametrize("last", [finished(), Failed(EngineClosed()), Cancelled()])
def test_a_plain_loop_gets_every_event_and_ends(last: Finished | Failed | Cancelled) -> None:
    one = job()
    for event in (Piece(0, "a", (1,)), Piece(0, "b", (2,)), last):
        one.put(event)
    assert list(one) == [Piece(0, "a", (1,)), Piece(0, "b", (2,)), last]
    assert one.done


def test_alternatives_each_end_once() -> None:
    one = job(2)
    assert not one.put(finished(1))
    assert one.put(finished(0))
    assert not one.put(Piece(0, "late", ()))
    assert list(one) == [finished(1), finished(0)]


def test_result_raises_the_jobs_error() -> None:
    one = job()
    one.put(Failed(EngineClosed()))
    with pytest.raises(EngineClosed):
        one.result()


def test_cancel_after_the_end_does_nothing() -> None:
    asked: list[int] = []
    one = Job(1, 1, lambda: asked.append(1))
    one.cancel()
    one.put(finished())
    one.cancel()
    assert asked == [1]


def write(one: Job, count: int, per_second: float) -> threading.Thread:
    def run() -> None:
        for n in range(count):
            one.put(Piece(0, f"{n},", (n,)))
            time.sleep(1 / per_second)
        one.put(finished())

    thread = threading.Thread(target=run)
    thread.start()
    return thread


async def test_the_loop_is_woken_seldom_and_loses_nothing() -> None:
    one = job()
    thread = write(one, 200, per_second=400)
    began, batches, tokens = time.monotonic(), 0, []
    async for event in one:
        if isinstance(event, Piece):
            batches += 1
            tokens += event.tokens
    thread.join()
    assert tokens == list(range(200))
    assert batches <= (time.monotonic() - began) * WAKES_PER_SECOND + 2


@pytest.mark.parametrize(("done", "waits"), [(7, False), (8, False), (3, True)])
async def test_the_first_piece_does_not_wait_for_the_next_wake(
    monkeypatch: pytest.MonkeyPatch, done: int, waits: bool
) -> None:
    """What was read before it had just woken the loop."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("engine.job.asyncio.sleep", sleep)
    one = job()
    one.put(Prefilled(done, 8))
    async for event in one:
        if isinstance(event, Prefilled):
            assert not slept
            one.put(finished())
    assert bool(slept) == waits


async def test_the_first_piece_is_not_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.job.WAKES_PER_SECOND", 1 / 600)  # a wait would be seen on the busiest machine
    one = job()
    began = time.monotonic()
    one.put(Piece(0, "a", (1,)))
    async for _ in one:
        break
    assert time.monotonic() - began < 60


async def test_a_reader_that_gives_up_leaves_no_events_behind_for_nobody() -> None:
    """A cancelled wait loses nothing: the next reader gets what came meanwhile."""
    one = job()
    waiting = asyncio.ensure_future(_all(one))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    one.put(finished())
    assert await _all(one) == [finished()]


async def _all(one: Job) -> list[object]:
    return [event async for event in one]


def test_an_event_for_a_closed_loop_does_not_break_the_writer() -> None:
    one = job()

    async def give_up() -> None:
        iterator = one.__aiter__()
        task = asyncio.ensure_future(anext(iterator))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(give_up())
    one.put(finished())
    assert list(one) == [finished()]
