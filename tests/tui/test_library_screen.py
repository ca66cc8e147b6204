"""The Library: what is found, marked, labelled, written, thrown away."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from textual.events import Hide
from textual.widgets import Button, Input, Static

from engine.types import Prefilled, StateKey, TuneConfig
from rwkv_chat.library import initials, state_use
from rwkv_chat.library.initials import Initial
from rwkv_chat.session.state_types import Confirmed, Shared
from rwkv_chat.session.tune_folder import About, toml_of, write_about
from rwkv_chat.tui.cells import short_title
from rwkv_chat.tui.library_query import typed
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.library import LibraryScreen
from rwkv_chat.tui.screens.log_dialog import AskLog
from rwkv_chat.tui.widgets.library_list import LibraryList
from tests.chat.test_private import holding
from tests.fakes import FakeEngine, FakeReply
from tests.tui.helpers import WIDE, opened, say_to, shown, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.screens.chat import ChatScreen

KEY = StateKey("a" * 64, "fp32", "", "", "b" * 64)
SAID = ("What is a state?", "Name a 漢字.", "Bake a cake [bold]now[/]")


@asynccontextmanager
async def library(
    home: Path, size: tuple[int, int] = WIDE
) -> AsyncIterator[tuple[RwkvChatApp, Pilot[Any], ChatScreen, LibraryScreen]]:
    """Three conversations, the last one newest; the Library is open."""
    engine = FakeEngine([FakeReply("A memory of fixed size."), FakeReply("字 is one."), FakeReply("Flour.")])
    async with opened(home, engine, size=size) as (app, pilot, chat):
        for text in SAID:
            await pilot.press("ctrl+n")
            await say_to(pilot, chat, text)
        app.animation_level = "none"
        await pilot.press("ctrl+l")
        await until(pilot, lambda: isinstance(app.screen, LibraryScreen) and len(titles(app)) == 3)
        assert isinstance(app.screen, LibraryScreen)
        yield app, pilot, chat, app.screen


def titles(app: RwkvChatApp) -> list[str]:
    rows = app.screen.query(LibraryList)
    return [each.title for each in rows.first()._rows] if rows else []


def said(screen: LibraryScreen) -> str:
    return str(screen.query_one("#said", Static).render())


async def search(app: RwkvChatApp, pilot: Pilot[Any], text: str, number: int) -> None:
    app.screen.query_one("#query", Input).value = text
    await until(pilot, lambda: len(titles(app)) == number, text)


async def test_what_is_found_is_gone_to(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, chat, screen):
        assert titles(app) == [SAID[2], SAID[1], SAID[0]]
        await search(app, pilot, "memory", 1)
        assert "memory" in str(screen.rows.get_option_at_index(0).prompt)
        screen.rows.focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is chat and "A memory of fixed size." in shown(chat))
        assert chat.thread is not None
        assert chat.thread.title == SAID[0]


async def test_filters_stand_among_the_words(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, _, screen):
        await search(app, pilot, "字", 2)
        await search(app, pilot, "字 from:me", 1)
        await search(app, pilot, "字 from:model since:2001-01-01", 1)
        await search(app, pilot, "字 until:2001-01-01", 0)
        assert screen.has_class("-nothing")
        await search(app, pilot, "字 from:nobody", 2)
        assert "from:nobody means nothing" in str(screen.query_one("#said").render())


async def test_marked_ones_are_dealt_with_at_once(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, _, screen):
        await pilot.press("space", "space", "t")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        app.screen.query_one("#answer", Input).value = "work, 仕事"
        await pilot.press("enter")
        await until(pilot, lambda: [each.tags for each in screen.rows._rows][:2] == [("work", "仕事")] * 2)
        await search(app, pilot, "#work", 2)
        await search(app, pilot, "", 3)
        screen.rows.focus()
        await pilot.press("a")
        await until(pilot, lambda: titles(app) == [SAID[0]])
        await pilot.press("v")
        await until(pilot, lambda: len(titles(app)) == 2)
        await pilot.press("m", "a", "v", "v")
        await until(pilot, lambda: len(titles(app)) == 3)


async def test_pinned_ones_stand_first(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, chat, screen):
        screen.rows.highlighted = 2
        await pilot.press("p")
        await until(pilot, lambda: titles(app)[0] == SAID[0])
        assert screen.rows._rows[0].pinned
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat)


async def test_the_trash_and_the_end(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, _, screen):
        await pilot.press("x")
        await until(pilot, lambda: titles(app) == [SAID[1], SAID[0]])
        await pilot.press("v", "v")
        await until(pilot, lambda: titles(app) == [SAID[2]])
        await pilot.press("r")
        await until(pilot, lambda: titles(app) == [] and screen.has_class("-nothing"))
        await pilot.press("v")
        await until(pilot, lambda: len(titles(app)) == 3)
        await pilot.press("shift+delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("escape")
        await pilot.press("shift+delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.click("#yes")
        await until(pilot, lambda: len(titles(app)) == 2)
    assert holding(tmp_path, SAID[1].encode())
    assert not holding(tmp_path, SAID[2].encode())


async def test_personas_that_were_made_from_it_are_named_before_the_end(tmp_path: Path) -> None:
    made = "INSERT INTO personas (id, name, origin) SELECT 'p', 'Cook', tree FROM threads WHERE title = ?"
    async with library(tmp_path) as (app, pilot, _, screen):
        await screen.desk.session.library.run(lambda db: db.execute(made, (SAID[2],)))
        await pilot.press("shift+delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        first = app.screen
        await pilot.click("#yes")
        await until(pilot, lambda: isinstance(app.screen, Confirm) and app.screen is not first)
        assert "Cook" in getattr(app.screen, "question", "")
        await pilot.click("#yes")
        await until(pilot, lambda: len(titles(app)) == 2)
        assert await screen.desk.session.states.list() == ()
    assert not holding(tmp_path, SAID[2].encode())


async def test_out_as_a_file_and_in_again(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, _, screen):
        out = tmp_path / "two.json"
        for name, ends in (("two.odd", "end the name with"), (out.name, "Exported 2 conversations")):
            if not screen.rows.marked:
                await pilot.press("space", "space")
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            app.screen.query_one("#answer", Input).value = str(tmp_path / name)
            await pilot.press("enter")
            await until(pilot, lambda ends=ends: ends in str(screen.query_one("#said").render()))
        assert len(json.loads(out.read_text())["conversations"]) == 2
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        app.screen.query_one("#answer", Input).value = str(out)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("escape", "i")
        await until(pilot, lambda: isinstance(app.screen, AskLog))
        app.screen.query_one("#path", Input).value = str(out)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(app.focused, "id", "") == "take")
        await pilot.press("enter")
        await until(pilot, lambda: "0 new, 2 here already" in str(screen.query_one("#said").render()))


async def test_the_archive_is_searched_alone(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, _, screen):
        await pilot.press("a")
        await until(pilot, lambda: titles(app) == [SAID[1], SAID[0]])
        await search(app, pilot, "Flour", 1)
        assert "in the archive" in str(screen.rows.get_option_at_index(0).prompt)
        await search(app, pilot, "Name", 1)
        await search(app, pilot, "Name in:archive", 0)
        await search(app, pilot, "", 2)
        screen.rows.focus()
        await pilot.press("v")
        await until(pilot, lambda: titles(app) == [SAID[2]])
        await search(app, pilot, "Name", 0)
        await search(app, pilot, "Flour", 1)
        assert "in the archive" not in str(screen.rows.get_option_at_index(0).prompt)


async def test_a_capsule_goes_out_comes_in_and_is_confirmed(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, _, screen):
        written: list[tuple[str, Path]] = []

        async def export(thread: str, path: Path, *, node: str | None = None) -> AsyncIterator[Any]:
            written.append((thread, path))
            yield Shared(str(path), 1_000, 2, 1)

        async def confirm(thread: str) -> AsyncIterator[Any]:
            yield Prefilled(5, 10)
            yield Confirmed(agrees=thread != written[0][0], difference=0.5, key=KEY)

        capsules: Any = screen.capsules  # the fake engine keeps no states
        capsules.export, capsules.confirm = export, confirm
        await pilot.press("space", "space", "c")
        await until(pilot, lambda: "mark one alone" in said(screen))
        await pilot.press("escape", "home", "c")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        app.screen.query_one("#answer", Input).value = str(tmp_path / "cake")
        await pilot.press("enter")
        await until(pilot, lambda: "may reveal" in said(screen))
        assert [path for _, path in written] == [tmp_path / "cake.capsule"]
        await pilot.press("y")
        await until(pilot, lambda: "difference 0.5" in said(screen))
        await pilot.press("down", "y")
        await until(pilot, lambda: "trusted now" in said(screen))


async def test_a_memory_from_a_file_is_marked(tmp_path: Path) -> None:
    begun = "UPDATE threads SET initial = 'i' WHERE title = ?"
    async with library(tmp_path) as (_, pilot, _, screen):
        database = screen.desk.session.library
        await database.run(initials.add, Initial("i", "snapshot", ()))
        await database.run(lambda db: db.execute(begun, (SAID[1],)))
        screen.reload()
        await until(pilot, lambda: [each.who for each in screen.rows._rows] == ["", "unverified", ""])


async def test_a_chat_between_people_is_asked_about(tmp_path: Path) -> None:
    log = tmp_path / "chat.txt"
    log.write_text(
        "".join(f"12/31/25, 11:5{each} PM - {'Ann' if each % 2 else 'Bob'}: Hi {each}\n" for each in range(8))
    )
    async with library(tmp_path) as (app, pilot, _, screen):
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, AskLog))
        ask = app.screen
        ask.query_one("#path", Input).value = str(log)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(app.focused, "id", "") == "who")
        assert "WhatsApp\nBob: Hi 0" in str(ask.query_one("#log-seen").render())
        who: Any = ask.query_one("#who")
        who.value = "Ann"
        ask.query_one("#take", Button).press()
        await until(pilot, lambda: "1 new" in said(screen))
        assert "1 conversations, 8 turns, 0 skipped." in said(screen)
        log.write_text("1/2/25, 11:50 PM - Ann: Hi\n1/2/25, 11:51 PM - Bob: Ho\n")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, AskLog))
        app.screen.query_one("#path", Input).value = str(log)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(app.focused, "id", "") == "who")
        assert "choose the format WhatsApp, day first" in str(app.screen.query_one("#log-seen").render())


async def test_marked_ones_go_to_the_archive_the_trash_and_a_file_together(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, _, screen):
        await pilot.press("space", "space", "p")
        await until(pilot, lambda: [each.pinned for each in screen.rows._rows] == [True, True, False])
        await pilot.press("x")
        await until(pilot, lambda: titles(app) == [SAID[0]])
        assert "2 conversations" in said(screen)
        await pilot.press("v", "v")
        await until(pilot, lambda: len(titles(app)) == 2)
        await pilot.press("m", "r")
        await until(pilot, lambda: titles(app) == [])
        await pilot.press("v")
        await until(pilot, lambda: len(titles(app)) == 3)
        await pilot.press("m", "shift+delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "3 conversations" in getattr(app.screen, "question", "")
        await pilot.click("#yes")
        await until(pilot, lambda: titles(app) == [] and screen.has_class("-nothing"))


async def test_what_was_empty_for_a_moment_keeps_the_keys(tmp_path: Path) -> None:
    """The list was hidden and is there again before it is told: it is not the search that is typed into."""
    async with library(tmp_path) as (app, pilot, _, screen):
        assert screen.rows.has_focus
        screen.add_class("-nothing")
        screen.rows.post_message(Hide())
        screen.remove_class("-nothing")
        await pilot.pause()
        assert app.focused is screen.rows
        await pilot.press("v")
        await until(pilot, lambda: titles(app) == [] and screen.view == "archived")
        assert screen.box.value == ""


def test_a_line_is_taken_apart() -> None:
    found = typed('#work "from:me is quoted" from:model since:2026-02-30 # word')
    assert found.wrong == "since:2026-02-30"
    assert (found.wanted.query, found.wanted.tag, found.wanted.role) == (
        '"from:me is quoted" # word',
        "work",
        "assistant",
    )
    assert not typed("#work in:trash").searches
    assert typed("in:trash").wanted.deleted
    assert typed("in:archive").wanted.archived


async def test_erasing_names_the_tuning_runs_that_read_it(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, _, screen):
        (thread,) = screen.chosen()
        tree = await app.session.library.run(state_use.tree, thread.id)
        folder = app.session.paths.tunes / "0123456789ab"
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(toml_of(TuneConfig("model.pth")))
        write_about(folder, About("Like me", trees=(tree,)))
        await pilot.press("shift+delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "Like me" in app.screen.question  # type: ignore[attr-defined]
        await pilot.press("escape", "down", "shift+delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "Tuning" not in app.screen.question  # type: ignore[attr-defined]
        await pilot.press("escape", "home", "shift+delete")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.click("#yes")
        await until(pilot, lambda: len(titles(app)) == 2)
        assert not folder.exists()


async def test_what_was_erased_is_shown_nowhere(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, chat, screen):
        assert chat.thread is not None
        assert chat.thread.title == SAID[2]
        await pilot.press("x")
        await until(pilot, lambda: titles(app) == [SAID[1], SAID[0]])
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat and SAID[1] in shown(chat))
        assert SAID[2] not in [each.title for each in chat.threads]
        await screen.convs.erase(chat.thread_id or "")  # from another window
        chat.prompt.text = "Is anybody there?"
        await pilot.press("enter")
        await until(pilot, lambda: chat.prompt.text == "Is anybody there?")


async def test_found_messages_are_not_taken_for_conversations(tmp_path: Path) -> None:
    async with library(tmp_path) as (app, pilot, _, screen):
        screen.box.focus()
        await search(app, pilot, "memory", 1)
        await pilot.press("down")
        await until(pilot, lambda: screen.rows.has_focus)
        await pilot.press("x")
        await until(pilot, lambda: str(screen.query_one("#said", Static).render()) != "")
        await pilot.press("escape")
        await until(pilot, lambda: len(titles(app)) == 3)


def test_a_cut_title_keeps_what_tells_a_branch_apart() -> None:
    for text, width, cut in (
        ("My cat is called Biscuit.", 40, "My cat is called Biscuit."),
        ("My cat is called Biscuit. (2)", 20, "My cat is calle… (2)"),
        ("My cat is called Biscuit.", 12, "My cat is c…"),
        ("漢字漢字漢字 (12)", 12, "漢字漢… (12)"),
        ("A (1234567)", 8, "A (1234…"),
    ):
        assert short_title(text, width) == cut
        assert cell_len(short_title(text, width)) <= width
