"""Blocking generators off the event loop: their values, their errors, and their end."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.session.steps import steps

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


async def test_values_come_in_order_from_another_thread() -> None:
    def work(stop: Callable[[], bool]) -> Generator[bool, None, None]:
        for _ in range(5):
            yield threading.current_thread() is threading.main_thread()

    assert [each async for each in steps(work)] == [False] * 5


async def test_an_error_comes_out() -> None:
    def work(stop: Callable[[], bool]) -> Generator[int, None, None]:
        yield 1
        raise ZeroDivisionError

    working = steps(work)
    assert await anext(working) == 1
    with pytest.raises(ZeroDivisionError):
        await anext(working)


@pytest.mark.parametrize("cancelled", [False, True], ids=["left", "cancelled"])
async def test_who_leaves_stops_it_and_finds_it_cleaned_up(cancelled: bool) -> None:
    began, told, cleaned = asyncio.Event(), [], []
    loop = asyncio.get_running_loop()

    def work(stop: Callable[[], bool]) -> Generator[int, None, None]:
        try:
            yield 1
            loop.call_soon_threadsafe(began.set)
            while not stop():
                threading.Event().wait(0.001)
            told.append("stopped")
            yield 2
        finally:
            cleaned.append(True)

    async def listen() -> None:
        async for each in steps(work):
            if each == 1 and not cancelled:
                return

    listening = asyncio.ensure_future(listen())
    if cancelled:
        await began.wait()
        listening.cancel()
    await asyncio.wait([listening])
    for _ in range(200):  # a generator that was left is closed by the loop, soon
        if cleaned:
            break
        await asyncio.sleep(0.01)
    assert cleaned == [True]
    assert told == (["stopped"] if cancelled else [])
