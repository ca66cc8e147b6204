"""Keys that are pressed in tests of the terminal are waited for until nothing is left to be done."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from rwkv_chat.session import speed
from rwkv_chat.tui import turns
from tests.fakes import FakeGenerate

if TYPE_CHECKING:
    from concurrent.futures import Future

BREATH = 0.002  # seconds in which a thread that no pool knows may hand in what it has found
LONGEST = 2.0  # seconds that a pool's threads are waited for: some tests hold one of them back
LASTING = 3600.0  # seconds


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual looks every 20 ms whether the process still uses its processor, twice for each key."""
    at_work: set[Future[Any]] = set()
    submit = ThreadPoolExecutor.submit

    def noted(pool: ThreadPoolExecutor, *args: Any, **named: Any) -> Future[Any]:
        future = submit(pool, *args, **named)
        at_work.add(future)
        future.add_done_callback(at_work.discard)
        return future

    async def settled(*_: float) -> None:
        """Returns when neither the event loop has anything to do nor a pool of threads (the library's,
        asyncio's), and both still have nothing a breath later.
        """
        ready: Any = asyncio.get_running_loop()
        quiet, deadline = 0, monotonic() + LONGEST
        while quiet < 2:
            busy = ready._ready or (at_work and monotonic() < deadline)
            quiet = 0 if busy else quiet + 1
            await asyncio.sleep(0 if ready._ready else BREATH)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", noted)
    monkeypatch.setattr("textual.app.wait_for_idle", settled)


@pytest.fixture(autouse=True)
def lasting_toasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told stays told: on a busy machine it would be gone before a test looks."""
    monkeypatch.setattr("textual.notifications.Notification.time_left", LASTING)


class Clock:
    """Stands still until it is told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of thoughts."""
    found = Clock()
    monkeypatch.setattr(turns, "monotonic", found)
    monkeypatch.setattr(speed, "monotonic", found)
    return found


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> asyncio.Semaphore:
    """How many more pieces of a reply come."""
    allowed = asyncio.Semaphore(0)

    async def pause(job: FakeGenerate) -> bool:
        await allowed.acquire()
        return not job.cancelled.is_set()

    monkeypatch.setattr(FakeGenerate, "pause", pause)
    return allowed
