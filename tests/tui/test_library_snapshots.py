"""Pictures of the Library in its states, in three sizes of terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rwkv_chat.tui import library_rows
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from tests.tui.album import Album
from tests.tui.helpers import NARROW, SMALL, WIDE, opened, until
from tests.tui.test_library_screen import library, search

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion


@pytest.fixture(params=[SMALL, NARROW, WIDE], ids=["60x20", "80x24", "120x40"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    def day(_seconds: float) -> str:
        return "2026-01-31 09:26"

    monkeypatch.setattr(library_rows, "date_of", day)


async def test_every_state(size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    async with library(tmp_path, size) as (app, pilot, _, screen):
        album = Album(app, pilot, snapshot)
        one, two, three = (each.key for each in screen.rows._rows)
        await screen.convs.tag([two, three], ["work", "仕事"])
        await screen.convs.pin(one)
        screen.reload()
        await until(pilot, lambda: screen.rows._rows[0].pinned)
        await pilot.press("down", "space")
        await album.take("marked")
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await album.take("tagging")
        await pilot.press("escape", "shift+delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await album.take("erasing")
        await pilot.press("escape")
        await search(app, pilot, "字", 2)
        await album.take("found")
        await search(app, pilot, "nothing of this", 0)
        await album.take("nothing-found")
    assert album.different == []


async def test_an_empty_library(size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    async with opened(tmp_path, size=size) as (app, pilot, _):
        await pilot.press("ctrl+l")
        await until(pilot, lambda: app.screen.has_class("-nothing"))
        album = Album(app, pilot, snapshot)
        await album.take("empty")
    assert album.different == []
