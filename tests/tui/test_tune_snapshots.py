"""Pictures of the Tune screen, of the three steps of a new run and of the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, Select

from rwkv_chat.session.examples_types import Caution
from rwkv_chat.tui import library_rows
from rwkv_chat.tui.screens.export_dialog import AskExport
from rwkv_chat.tui.screens.log_dialog import AskLog
from rwkv_chat.tui.screens.tune_compare import CompareScreen
from tests.tui.album import Album
from tests.tui.helpers import NARROW, SMALL, WIDE, until
from tests.tui.test_tune_screen import begin, some_runs, text, tuning
from tests.tui.tunes import FakeTunes, found

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


async def test_runs_and_their_comparison(
    size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    async with tuning(tmp_path, some_runs(), size) as (app, pilot, tunes, screen):
        album = Album(app, pilot, snapshot)
        await until(pilot, lambda: len(screen.live.train) == 40 and "see you" in text(screen, "run-samples"))
        await album.take("finished")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskExport))
        app.screen.query_one("#what", Select).value = "merged"
        await until(pilot, lambda: app.screen.query_one("#numbers-row").display)
        await album.take("export")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("down")
        await until(pilot, lambda: len(screen.live.train) == 12 and "12 / 40" in text(screen, "run-facts"))
        await pilot.press("home", "enter")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        compare = app.screen
        await pilot.press(*"Well?", "enter")
        await until(pilot, lambda: "at eight" in text(compare, "said-tuned"))
        await album.take("beside")
        await pilot.press("f4")
        await until(pilot, lambda: "1 of 3 judged" in text(compare, "compare-said"))
        await until(pilot, lambda: "tuned 1" in text(compare, "moment"))
        await album.take("blind")
        tunes.go_on.set()
    assert album.different == []


async def test_a_new_run_in_three_steps(
    size: tuple[int, int], tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    cautions = (Caution("few", 9), Caution("template", word="bot"))
    tunes = FakeTunes(found=found(people=("Ann", "Bob"), cautions=cautions), practice=True)
    async with tuning(tmp_path, tunes, size, said="Hello there") as (app, pilot, _, _screen):
        album = Album(app, pilot, snapshot)
        await album.take("none")
        new = await begin(app, pilot)
        await until(pilot, lambda: new.source.chats.option_count == 1)
        new.source.chats.mark_all()
        await album.take("source")
        await pilot.click("#add-log")
        await until(pilot, lambda: isinstance(app.screen, AskLog))
        await album.take("log")
        await pilot.press("escape", "ctrl+j")
        await until(pilot, lambda: new.found is not None and "412" in text(new, "found-facts"))
        await album.take("found")
        new.query_one("#consent", Input).value = "agreed"
        await pilot.press("ctrl+j")
        await until(pilot, lambda: len(new.plans._plans) == 3)
        await album.take("plan")
    assert album.different == []
