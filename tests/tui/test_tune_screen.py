"""The Tune screen: runs that are begun in three steps, watched, stopped, compared, kept, thrown away."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.widgets import Button, Checkbox, Input, OptionList, Select, Static

from engine.errors import InvalidRequest
from rwkv_chat.session.errors import NothingToTrain
from rwkv_chat.session.examples_types import AGREED, Branch, Caution
from rwkv_chat.tui.screens.dialogs import Confirm
from rwkv_chat.tui.screens.export_dialog import AskExport
from rwkv_chat.tui.screens.library import LibraryScreen
from rwkv_chat.tui.screens.log_dialog import AskLog
from rwkv_chat.tui.screens.tune import TuneScreen
from rwkv_chat.tui.screens.tune_compare import CompareScreen
from rwkv_chat.tui.screens.tune_new import NewTuneScreen
from tests.tui.helpers import WIDE, opened, say_to, toasts, until
from tests.tui.tunes import FakeTunes, found, told, tune

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp


@asynccontextmanager
async def tuning(
    home: Path, tunes: FakeTunes | None = None, size: tuple[int, int] = WIDE, *, said: str = ""
) -> AsyncIterator[tuple[RwkvChatApp, Pilot[Any], FakeTunes, TuneScreen]]:
    """The Tune screen is open, over fake runs. `said`: a message of a conversation before."""
    tunes = tunes or FakeTunes()
    async with opened(home, size=size) as (app, pilot, chat):
        app.session.tunes = tunes  # type: ignore[assignment]  the few methods that are asked for
        if said:
            await say_to(pilot, chat, said)
        app.animation_level = "none"
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, TuneScreen))
        screen = app.screen
        assert isinstance(screen, TuneScreen)
        await until(pilot, lambda: screen.has_class("-nothing") or screen.runs)
        yield app, pilot, tunes, screen


def text(screen: Any, id_: str) -> str:
    return str(screen.query_one(f"#{id_}", Static).render())


async def begin(app: RwkvChatApp, pilot: Pilot[Any]) -> NewTuneScreen:
    await pilot.press("n")
    await until(pilot, lambda: isinstance(app.screen, NewTuneScreen))
    assert isinstance(app.screen, NewTuneScreen)
    return app.screen


def messenger(home: Path) -> Path:
    path = home / "result.json"
    messages = [
        {"id": at, "type": "message", "date_unixtime": str(1_700_000_000 + at), "from": who, "text": "hi"}
        for at, who in enumerate(("Ann", "Bob"))
    ]
    path.write_text(json.dumps({"name": "B", "type": "personal_chat", "id": 7, "messages": messages}))
    return path


# ---------------------------------------------------------------------- a new run


async def add_log(app: RwkvChatApp, pilot: Pilot[Any], path: Path, who: str) -> None:
    new = app.screen
    await pilot.click("#add-log")
    await until(pilot, lambda: isinstance(app.screen, AskLog))
    app.screen.query_one("#path", Input).value = str(path)
    await pilot.press("enter")
    ask = app.screen
    select: Any = ask.query_one("#who")
    take = ask.query_one("#take", Button)
    await until(pilot, lambda: select.has_focus)
    take.press()
    await until(pilot, lambda: "Choose one" in text(ask, "log-seen"))  # nobody was chosen
    select.value = who
    take.press()
    await until(pilot, lambda: app.screen is new)


async def test_from_a_log_to_a_run(tmp_path: Path) -> None:
    people = ("Ann", "Bob")
    async with tuning(tmp_path, FakeTunes(found=found(people=people))) as (app, pilot, tunes, screen):
        assert "There are no runs yet" in text(screen, "no-runs")
        new = await begin(app, pilot)
        assert ("practise" in text(new, "new-said")) == app.session.models.current.builtin
        await pilot.press("ctrl+j")
        await until(pilot, lambda: "Add a chat log" in text(new, "new-said"))
        path = messenger(tmp_path)
        await add_log(app, pilot, path, "Ann")
        assert "learn what Ann wrote" in text(new, "log-files")
        await pilot.press("ctrl+j")
        await until(pilot, lambda: "412 conversations" in text(new, "found-facts"))
        assert "⟦ sure\nsee you at eight␀⟧" in text(new, "found-examples")
        await pilot.press("ctrl+j")  # nobody has agreed yet
        await until(pilot, lambda: new.query_one("#consent", Input).has_focus)
        await pilot.press(*AGREED)
        await pilot.press("ctrl+j")
        await until(pilot, lambda: new.plans.plan is not None and len(new.plans._plans) == 3)
        assert "rwkv-chat tune new" in text(new, "plan-command")
        options = new.query_one("#ways", OptionList)
        shown = "\n".join(str(options.get_option_at_index(at).prompt) for at in range(options.option_count))
        assert all(each in shown for each in ("2 min 0 s", "11 min 0 s", "1 h 35 min"))
        new.query_one("#tune-name", Input).value = "Ann [b]"
        await until(pilot, lambda: "--name 'Ann [b]'" in text(new, "plan-command"))
        await pilot.press("ctrl+j")
        await until(pilot, lambda: tunes.done == ["start Ann [b]"] and app.screen is screen)
        selection = tunes.plans[-1][0]
        assert [(each.path, each.speaker) for each in selection.files] == [(path, "Ann")]
        assert selection.consent == AGREED
        await until(pilot, lambda: "0 / 40" in text(screen, "run-facts"))


async def test_fields_change_what_is_found_and_how(tmp_path: Path) -> None:
    async with tuning(tmp_path) as (app, pilot, tunes, _):
        new = await begin(app, pilot)
        await add_log(app, pilot, messenger(tmp_path), "Bob")
        await pilot.press("ctrl+j")
        await until(pilot, lambda: new._step == 1)
        new.query_one("#redact", Checkbox).value = False
        for name, value in (("gap", "20"), ("languages", "en, DE"), ("blocklist", "a b, c")):
            new.query_one(f"#{name}", Input).value = value
        await until(pilot, lambda: new.options.stale)
        await pilot.press("ctrl+j")
        await until(pilot, lambda: len(tunes.looked) == 2)
        selection = tunes.looked[-1]
        assert (selection.gap, selection.redact, selection.aliases) == (1_200.0, (), True)
        assert selection.filters.languages == ("en", "de")
        assert selection.filters.blocklist == ("a b", "c")
        await until(pilot, lambda: not new.options.stale)
        new.query_one("#template", Select).value = "bot"
        await until(pilot, lambda: new.options.stale)
        await pilot.press("ctrl+j")
        await until(pilot, lambda: len(tunes.looked) == 3)
        assert tunes.looked[-1].template == "bot"
        new.query_one("#gap", Input).value = "soon"
        await until(pilot, lambda: new.options.stale)
        await pilot.click("#look-again")
        await until(pilot, lambda: "Silence" in text(new, "new-said"))


async def test_another_method_is_planned_anew_without_reading_again(tmp_path: Path) -> None:
    async with tuning(tmp_path, said="Hello") as (app, pilot, tunes, _):
        new = await begin(app, pilot)
        await until(pilot, lambda: new.source.chats.option_count == 1)
        new.source.chats.focus()
        await pilot.press("enter")
        assert len(new.source.branches) == 1
        await pilot.press("ctrl+j")
        await until(pilot, lambda: new.found is not None)
        await pilot.press("ctrl+j")
        await until(pilot, lambda: len(new.plans._plans) == 3)
        await pilot.press("down", "enter")
        await until(pilot, lambda: new.plans.method == "lora" and len(new.plans._plans) == 3)
        assert len(tunes.looked) == 1
        assert [each[1:] for each in tunes.plans] == [("state", True), ("lora", True)]
        await pilot.press("end", "enter")
        await until(pilot, lambda: "--preset long" in text(new, "plan-command"))
        assert "--method lora" in text(new, "plan-command")
        new.query_one("#base", Select).value = "int8"
        await until(pilot, lambda: tunes.changes[-1] == {"base": "int8"} and len(new.plans._plans) == 3)
        new.plans._take("full")  # weights that are trained themselves are not packed
        await until(pilot, lambda: tunes.plans[-1][1] == "full" and len(new.plans._plans) == 3)
        assert tunes.changes[-1] == {"base": None}
        tunes.error = InvalidRequest("no such thing")
        new.plans._take("state")
        await until(pilot, lambda: "cannot be planned" in text(new, "plan-facts"))


async def test_warnings_are_told_before_the_start(tmp_path: Path) -> None:
    tunes = FakeTunes(found=found(cautions=(Caution("few", 9),)), fits=False, practice=True)
    async with tuning(tmp_path, tunes, said="Hello") as (app, pilot, _, screen):
        new = await begin(app, pilot)
        await until(pilot, lambda: new.source.chats.option_count == 1)
        new.source.chats.focus()
        await pilot.press("space")
        assert len(new.source.chats.marked) == 1
        await pilot.press("ctrl+j")
        await until(pilot, lambda: "Only 9 answers" in text(new, "found-facts"))
        await pilot.press("ctrl+j")
        await until(pilot, lambda: new.plans.plan is not None)
        assert "practise" in text(new, "plan-facts")
        await pilot.press("ctrl+j")
        await until(pilot, lambda: "does not fit" in text(new, "new-said"))
        tunes.fits, tunes.leaves = True, True
        new.plans._take("lora")
        await until(pilot, lambda: "the chat model leaves the device first" in text(new, "plan-facts"))
        await pilot.press("escape", "escape", "escape")
        await until(pilot, lambda: app.screen is screen)
        assert tunes.done == []


async def test_what_cannot_be_learnt_is_told_and_can_be_mended(tmp_path: Path) -> None:
    async with tuning(tmp_path, FakeTunes(error=NothingToTrain("one-sided")), said="Hi") as (
        app,
        pilot,
        tunes,
        _,
    ):
        new = await begin(app, pilot)
        await until(pilot, lambda: new.source.chats.option_count == 1)
        new.source.chats.mark_all()
        await pilot.press("ctrl+j")
        await until(pilot, lambda: any("nobody is answered" in each for each in toasts(app)))
        assert new._step == 0
        tunes.error = None
        await pilot.press("ctrl+j")
        await until(pilot, lambda: new._step == 1)


async def test_from_the_chat_and_from_the_library(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, chat):
        app.session.tunes = FakeTunes()  # type: ignore[assignment]
        await say_to(pilot, chat, "Hello")
        chat.prompt.text = "/tune"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, NewTuneScreen))
        new = app.screen
        assert isinstance(new, NewTuneScreen)
        await until(pilot, lambda: new.source.branches)
        assert new.source.branches == (Branch(chat.thread_id or "", chat.nodes[-1].id),)
        await pilot.press("escape", "ctrl+l")
        await until(pilot, lambda: isinstance(app.screen, LibraryScreen) and app.screen.threads)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, NewTuneScreen))
        again = app.screen
        assert isinstance(again, NewTuneScreen)
        await until(pilot, lambda: again.source.branches == (Branch(chat.thread_id or ""),))


# ---------------------------------------------------------------------- runs


def some_runs() -> FakeTunes:
    runs = (
        tune("aaaa", "Ann's way", threads=("one",)),
        tune("bbbb", "Going on", status="running", step=12, steps=40),
        tune("cccc", "Cut", status="killed", step=7, steps=40),
        tune("dddd", "Gone wrong", status="failed", error="The disk is full.", step=3),
    )
    logs = {"aaaa": told(), "bbbb": told(12), "cccc": told(7), "dddd": told(3)}
    return FakeTunes({each.id: each for each in runs}, logs)


async def test_a_run_is_watched_stopped_and_goes_on(tmp_path: Path) -> None:
    async with tuning(tmp_path, some_runs()) as (app, pilot, tunes, screen):
        await until(pilot, lambda: "finished" in text(screen, "run-facts"))
        await until(pilot, lambda: len(screen.live.train) == 40)
        await until(pilot, lambda: "see you at eight" in text(screen, "run-samples"))
        assert "tune new" in text(screen, "run-command")
        await pilot.press("down")
        await until(pilot, lambda: "running, 30%" in text(screen, "run-facts"))
        await until(pilot, lambda: len(screen.live.train) == 12)
        await pilot.press("s")
        await until(pilot, lambda: "stop bbbb" in tunes.done)
        await until(pilot, lambda: "stopped" in text(screen, "run-facts"))
        await pilot.press("r")
        await until(pilot, lambda: "resume bbbb" in tunes.done)
        tunes.leaves = True
        await pilot.press("down", "enter")
        await until(pilot, lambda: "resume cccc" in tunes.done)
        await until(pilot, lambda: "the chat model leaves the device first" in text(screen, "tune-said"))
        await pilot.press("end")
        await until(pilot, lambda: "The disk is full." in text(screen, "run-facts"))
        tunes.runs["bbbb"] = replace(
            tunes.runs["bbbb"], status="running", step=30
        )  # it is not shown, and goes on
        screen.look_again()
        await until(pilot, lambda: "running, 75%" in str(screen.rows.get_option("bbbb").prompt))
        assert screen.rows.current == "dddd"
        tunes.go_on.set()
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "chat")


async def test_a_run_that_was_begun_is_the_one_that_is_shown(tmp_path: Path) -> None:
    async with tuning(tmp_path, some_runs(), said="Hello") as (app, pilot, tunes, screen):
        await until(pilot, lambda: "finished" in text(screen, "run-facts"))
        new = await begin(app, pilot)
        await until(pilot, lambda: new.source.chats.option_count == 1)
        new.source.chats.mark_all()
        await pilot.press("ctrl+j")
        await until(pilot, lambda: new.found is not None)
        await pilot.press("ctrl+j")
        await until(pilot, lambda: new.plans.plan is not None)
        tunes.started.clear()  # all is written first, and the screen goes on meanwhile
        await pilot.press("ctrl+j")
        await until(pilot, lambda: app.screen is screen and screen.rows.current == "aaaa")
        await pilot.press("end")
        await until(pilot, lambda: "The disk is full." in text(screen, "run-facts"))
        tunes.started.set()
        await until(pilot, lambda: screen.rows.current == "new" and "0 / 40" in text(screen, "run-facts"))
        tunes.go_on.set()


async def test_a_result_is_kept_exported_and_the_run_removed(tmp_path: Path) -> None:
    async with tuning(tmp_path, some_runs()) as (app, pilot, tunes, screen):
        await until(pilot, lambda: screen.run_chosen() is not None)
        await pilot.press("k")
        await until(pilot, lambda: tunes.done == ["keep aaaa one"])
        await until(pilot, lambda: "Kept as Ann's way" in text(screen, "tune-said"))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskExport))
        app.screen.query_one("#path", Input).value = str(tmp_path / "out")
        await pilot.press("enter")
        await until(pilot, lambda: "It may reveal" in text(screen, "tune-said"))
        assert tunes.done[-1] == "export aaaa out.pth result stored"
        await pilot.press("y")
        await until(pilot, lambda: "copied" in text(screen, "tune-said"))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.click("#yes")
        await until(pilot, lambda: "aaaa" not in screen.runs)
        await pilot.press("home", "end", "k")  # one that failed has nothing to keep
        await until(pilot, lambda: "no result yet" in text(screen, "tune-said"))
        tunes.go_on.set()


async def test_a_result_is_written_merged_and_in_other_numbers(tmp_path: Path) -> None:
    runs = {"aaaa": tune("aaaa", method="lora"), "bbbb": tune("bbbb", method="full")}
    async with tuning(tmp_path, FakeTunes(runs)) as (app, pilot, tunes, screen):
        await until(pilot, lambda: screen.run_chosen() is not None)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskExport))
        ask = app.screen
        assert "new folder" in text(ask, "export-hint")
        assert "may reveal" in str(ask.query_one(".dialog-warning", Static).render())
        assert not ask.query_one("#numbers-row").display
        ask.query_one("#what", Select).value = "merged"
        await until(pilot, lambda: ".gguf" in text(ask, "export-hint"))
        ask.query_one("#path", Input).value = str(tmp_path / "out.txt")
        await pilot.press("enter")
        await until(pilot, lambda: ask.query_one("#export-hint").has_class("-wrong"))
        ask.query_one("#path", Input).value = str(tmp_path / "out.GGUF")
        ask.query_one("#numbers", Select).value = "q8_0"
        await pilot.press("enter")
        await until(pilot, lambda: tunes.done == ["export aaaa out.GGUF merged q8_0"])
        await pilot.press("down", "e")
        await until(pilot, lambda: isinstance(app.screen, AskExport))
        assert ".gguf" in text(app.screen, "export-hint")  # all of a model was trained: there is nothing else
        app.screen.query_one("#path", Input).value = str(tmp_path / "whole")
        await pilot.press("enter")
        await until(pilot, lambda: tunes.done[-1] == "export bbbb whole.pth merged stored")
        await pilot.press("e", "escape")
        await until(pilot, lambda: app.screen is screen)
        assert len(tunes.done) == 2


async def test_replies_beside_one_another_and_moments_blind(tmp_path: Path) -> None:
    async with tuning(tmp_path, some_runs()) as (app, pilot, tunes, screen):
        await until(pilot, lambda: screen.run_chosen() is not None)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        compare = app.screen
        assert "29.96 alone, 9.97 tuned" in text(compare, "compare-losses")
        await pilot.press(*"Well?", "enter")
        await until(pilot, lambda: "at eight" in text(compare, "said-tuned"))
        assert text(compare, "said-base") == "I am a model."
        await pilot.press("f4")
        await until(pilot, lambda: "tuned 1" in text(compare, "moment"))  # the first was judged before
        await pilot.press("3")
        await until(pilot, lambda: "It was the tuned model." in text(compare, "compare-said"))
        assert "2 of 3 judged: 1 × the person, 0 × the model alone, 1 × tuned" in text(
            compare, "compare-said"
        )
        await pilot.press("1")
        await until(pilot, lambda: "Every moment" in text(compare, "moment"))
        assert tunes.judged == [(1, 2), (2, 0)]
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen is screen)
