"""Keys that are pressed in tests of the terminal are waited for until nothing is left to be done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

BREATH = 0.002  # seconds in which a thread (the library's) may hand in what it has found
LASTING = 3600.0  # seconds


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual looks every 20 ms whether the process still uses its processor, twice for each key."""
    monkeypatch.setattr("textual.app.wait_for_idle", settled)


@pytest.fixture(autouse=True)
def lasting_toasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told stays told: on a busy machine it would be gone before a test looks."""
    monkeypatch.setattr("textual.notifications.Notification.time_left", LASTING)


async def settled(*_: float) -> None:
    """Returns when the event loop has nothing to do, and has nothing to do a breath later."""
    ready: Any = asyncio.get_running_loop()
    quiet = 0
    while quiet < 2:
        quiet = 0 if ready._ready else quiet + 1
        await asyncio.sleep(BREATH if quiet == 1 else 0)
