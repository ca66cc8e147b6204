"""Working with the messages of a conversation on the screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.widgets import Input, TextArea

from engine.errors import WorkerDied
from engine.types import Prefilled
from rwkv_chat.session.state_types import Shared
from rwkv_chat.tui.app import RwkvChatApp
from rwkv_chat.tui.screens.books import BooksScreen
from rwkv_chat.tui.screens.dialogs import Ask
from rwkv_chat.tui.screens.editing import EditDialog
from rwkv_chat.tui.screens.help import HelpScreen
from rwkv_chat.tui.screens.messages import MessagesScreen
from rwkv_chat.tui.screens.replies import RepliesScreen
from rwkv_chat.tui.screens.tree import _bar
from rwkv_chat.tui.screens.writing import WritingScreen
from rwkv_chat.tui.slash import parse
from rwkv_chat.tui.widgets.status_line import StatusLine
from tests.fakes import CARD, FakeEngine, FakeReply, fake_session
from tests.tui.helpers import opened, say_to, shown, toasts, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from textual.pilot import Pilot

    from rwkv_chat.tui.screens.chat import ChatScreen


def engine(*replies: str) -> FakeEngine:
    return FakeEngine([FakeReply(each) for each in replies])


def texts(chat: ChatScreen) -> list[str]:
    return [each.message.text for each in chat.nodes]


async def messages(app: RwkvChatApp, pilot: Pilot[Any]) -> MessagesScreen:
    await pilot.press("ctrl+e")
    await until(pilot, lambda: isinstance(app.screen, MessagesScreen), "the messages")
    assert isinstance(app.screen, MessagesScreen)
    return app.screen


async def idle(pilot: Pilot[Any], chat: ChatScreen, *said: str) -> None:
    """Until that is the conversation, and nothing is being written."""
    await until(pilot, lambda: chat.live is None and texts(chat) == list(said), f"{said}")


async def typed(app: RwkvChatApp, pilot: Pilot[Any], chat: ChatScreen, text: str) -> None:
    """Typed into the prompt and sent, as a command is; the space behind it ends what is offered for it."""
    chat.prompt.text = f"{text} "
    await pilot.pause()
    await until(pilot, lambda: not chat.prompt.steering)
    await pilot.press("enter")
    await pilot.pause()


async def test_a_step_is_taken_back_and_done_again(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.", "Two.")) as (_, pilot, chat):
        await say_to(pilot, chat, "first")
        await say_to(pilot, chat, "second")
        await pilot.press("ctrl+z")
        await idle(pilot, chat, "first", "One.")
        assert chat.prompt.text == "second"
        await pilot.press("ctrl+a", "x")  # typing is taken back first
        await pilot.press("ctrl+z")
        chat.prompt.text = ""
        await pilot.press("ctrl+y")
        await idle(pilot, chat, "first", "One.", "second", "Two.")


async def test_steps_are_taken_back_one_after_the_other(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.", "Two.")) as (_, pilot, chat):
        await say_to(pilot, chat, "first")
        await say_to(pilot, chat, "second")
        await pilot.press("ctrl+z")
        await idle(pilot, chat, "first", "One.")
        await pilot.press("ctrl+z")  # what came back into the prompt was not typed there
        await idle(pilot, chat)
        assert chat.prompt.text == "first"
        for _ in range(2):
            await pilot.press("ctrl+y")
            await pilot.pause()
        await idle(pilot, chat, "first", "One.", "second", "Two.")
        assert chat.prompt.text == ""


async def test_a_message_is_edited_into_a_branch_and_the_old_one_is_switched_to(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.", "Two.")) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        await messages(app, pilot)
        await pilot.press("up", "e")
        await until(pilot, lambda: isinstance(app.screen, EditDialog))
        app.screen.query_one(TextArea).text = "first, but better"
        await pilot.press("ctrl+s")
        await idle(pilot, chat, "first, but better", "Two.")
        screen = await messages(app, pilot)
        assert screen._places[chat.nodes[0].id] == (2, 2)
        await pilot.press("up", "left")
        await idle(pilot, chat, "first", "One.")
        await until(pilot, lambda: isinstance(app.screen, MessagesScreen))  # it stays open, at the message
        await pilot.press("escape")
        assert "first" in shown(chat)


async def test_a_branch_a_deletion_and_their_undo(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.", "Two.")) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        await say_to(pilot, chat, "second")
        here = chat.thread_id
        await messages(app, pilot)
        await pilot.press("up", "up", "b")
        await until(pilot, lambda: chat.thread_id != here)
        await idle(pilot, chat, "first", "One.")
        await chat.go(here or "", "")
        await messages(app, pilot)
        await pilot.press("up", "x")
        await idle(pilot, chat, "first", "One.")
        await pilot.press("ctrl+z")
        await idle(pilot, chat, "first", "One.", "second", "Two.")


async def test_marks_are_seen_in_the_list(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.")) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        screen = await messages(app, pilot)
        for key, mark in (("m", "⚑"), ("p", "▲")):
            await pilot.press(key)
            await until(
                pilot,
                lambda screen=screen: app.screen is not screen and isinstance(app.screen, MessagesScreen),
            )
            assert isinstance(app.screen, MessagesScreen)
            screen = app.screen
            assert mark in "".join(screen._marks(chat.nodes[-1]))
        await pilot.press("y")
        await until(pilot, lambda: any("Copied" in each for each in toasts(app)))


async def test_several_replies_are_written_and_one_is_chosen(tmp_path: Path) -> None:
    several = FakeEngine([FakeReply("One."), FakeReply("Red.", others=("Green.", "Blue."))])
    async with opened(tmp_path, several) as (app, pilot, chat):
        await say_to(pilot, chat, "a colour")
        await typed(app, pilot, chat, "/alt 3")
        await until(pilot, lambda: isinstance(app.screen, RepliesScreen) and app.screen.live.ended)
        screen = app.screen
        assert isinstance(screen, RepliesScreen)
        screen.draw()
        wanted = screen.live.texts[2]
        await pilot.press("right", "right", "enter")
        await idle(pilot, chat, "a colour", wanted)
        assert len(await chat.branches.siblings(chat.nodes[-1].id)) == 4


async def test_an_aside_is_answered_and_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.", "Beside.")) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        await typed(app, pilot, chat, "/aside what was that?")
        await until(pilot, lambda: isinstance(app.screen, RepliesScreen) and app.screen.live.ended)
        assert isinstance(app.screen, RepliesScreen)
        assert app.screen.live.texts[0] == "Beside."
        shown_keys = [each.binding.action for each in app.screen.active_bindings.values()]
        assert "leave" in shown_keys
        assert not {"choose", "move(1)", "move(-1)"} & set(shown_keys), "there is one answer"
        await pilot.press("enter")
        await idle(pilot, chat, "first", "One.")
        await chat.go(chat.thread_id or "", "")
        assert texts(chat) == ["first", "One."]


async def test_a_reply_begins_as_it_is_told_to(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.", " and so on")) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        await messages(app, pilot)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        app.screen.query_one("#answer", Input).value = "Certainly"
        await pilot.press("enter")
        await until(pilot, lambda: chat.live is None and texts(chat)[-1].startswith("Certainly"))


async def test_memory_begins_anew_and_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path, engine(*(f"Answer {each}." for each in range(6)))) as (app, pilot, chat):
        for each in range(3):
            await say_to(pilot, chat, f"question {each}")
        await until(pilot, lambda: "tokens" in chat.absorbed)
        await typed(app, pilot, chat, "/refresh 1")
        await until(pilot, lambda: any(each.fresh for each in chat.nodes))
        await until(pilot, lambda: "partial memory" in chat.absorbed)


async def test_a_gauge_shows_how_full_the_memory_is_and_that_old_things_fade(tmp_path: Path) -> None:
    assert [_bar(share) for share in (0.001, 0.5, 3.0)] == ["▰▱▱▱▱", "▰▰▱▱▱", "▰▰▰▰▰"]
    short = replace(CARD, context=40)
    async with opened(tmp_path, engine("One.", "Two.", "Three."), card=short) as (app, pilot, chat):
        for text in ("first", "second", "third and last question"):
            await say_to(pilot, chat, text)
        await until(pilot, lambda: any("/refresh" in each for each in toasts(app)))
        await until(pilot, lambda: "▰▰▰▰▰" in chat.absorbed)
        assert len([each for each in toasts(app) if "/refresh" in each]) == 1


async def test_a_text_is_read_while_one_chats_and_a_chat_begins_from_it(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("Call me Ishmael. " * 40)
    async with opened(tmp_path, engine("One.", "Two.")) as (app, pilot, chat):
        await typed(app, pilot, chat, f"/read {book}")
        await until(pilot, lambda: any("was read" in each for each in toasts(app)))
        await say_to(pilot, chat, "meanwhile")
        await typed(app, pilot, chat, "/books")
        await until(pilot, lambda: isinstance(app.screen, BooksScreen) and app.screen.book)
        before = chat.thread_id
        await pilot.press("enter")
        await until(pilot, lambda: chat.thread_id != before and chat.nodes)
        assert "Ishmael" in texts(chat)[0]


async def test_a_text_is_written_together(tmp_path: Path) -> None:
    async with opened(tmp_path, engine(" there was a fox.")) as (app, pilot, chat):
        await typed(app, pilot, chat, "/text")
        await until(pilot, lambda: isinstance(app.screen, WritingScreen))
        screen = app.screen
        assert isinstance(screen, WritingScreen)
        screen.area.load_text("Once The end.")
        screen.area.move_cursor((0, 4))
        await pilot.press("f5")
        await until(pilot, lambda: screen.live is None and "fox" in screen.area.text)
        assert screen.area.text == "Once there was a fox. The end."
        await pilot.press("f9")
        await until(pilot, lambda: screen.area.text == "Once The end.")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat)


def test_what_a_slash_calls() -> None:
    assert parse("hello /alt")[0] is None
    assert parse("//alt") == (None, "/alt")
    assert parse("/etc/passwd is a file")[0] is None
    assert parse("/undo that")[0] is None
    row, rest = parse("/alt 3")
    assert row is not None
    assert (row.name, rest) == ("alt", "3")
    assert parse("/aside two\nlines")[0] is None


async def test_commands_without_their_words_say_what_is_missing(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.")) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        for number, command in enumerate(("/aside", "/begin", "/refresh soon", "/last"), start=1):
            await typed(app, pilot, chat, command)
            await until(pilot, lambda number=number: len(toasts(app)) == number)
            assert chat.prompt.text == command, "what was typed is not lost"
        await idle(pilot, chat, "first", "One.")
        await typed(app, pilot, chat, "/help")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


async def test_what_cannot_be_carried_out_stands_in_the_prompt_again(tmp_path: Path) -> None:
    missing = "/read /nowhere/to/be/found.txt"
    async with opened(tmp_path, engine("One.")) as (app, pilot, chat):
        for number, command in enumerate(("/continue", missing, "/quote whales", "/undo"), start=1):
            await typed(app, pilot, chat, command)
            await until(pilot, lambda number=number: len(toasts(app)) == number, command)
            await until(pilot, lambda command=command: chat.prompt.text == command, command)
        assert chat.nodes == ()


async def test_an_aside_that_fails_is_not_lost(tmp_path: Path) -> None:
    failing = FakeEngine([FakeReply("One."), FakeReply("", error=WorkerDied(9))])
    async with opened(tmp_path, failing) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        await typed(app, pilot, chat, "/aside what was that?")
        await until(pilot, lambda: toasts(app) and app.screen is chat)
        await until(pilot, lambda: chat.prompt.text == "/aside what was that?")


async def test_a_tick_after_its_end_leaves_the_screen_below_alone(tmp_path: Path) -> None:
    failing = FakeEngine([FakeReply("One."), FakeReply("", error=WorkerDied(9))])
    async with opened(tmp_path, failing) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        live = chat.follow(lambda: chat.chats.aside(chat.thread_id, "what?"), kind="aside")
        assert live is not None
        await until(pilot, lambda: live.failed)
        replies = RepliesScreen(live, "what?")
        await app.push_screen(replies)
        for _ in range(3):
            replies.draw()
        await until(pilot, lambda: app.screen is chat)
        replies.draw()
        await pilot.pause()
        assert app.screen is chat


async def test_a_cut_reply_names_what_lets_it_go_on(tmp_path: Path) -> None:
    cut = FakeEngine([FakeReply("One", reason="length"), FakeReply(" and two.")])
    async with opened(tmp_path, cut) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        assert "/continue" in shown(chat)
        await typed(app, pilot, chat, "/continue")
        await idle(pilot, chat, "first", "One and two.")
        assert "/continue" not in shown(chat)
        await typed(app, pilot, chat, "/continue")
        await until(pilot, lambda: any("was not cut" in each for each in toasts(app)))
        await until(pilot, lambda: chat.prompt.text == "/continue")
        await idle(pilot, chat, "first", "One and two.")


async def test_a_branch_is_told_from_the_chat_that_it_comes_from(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.")) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        await messages(app, pilot)
        await pilot.press("b")
        await until(pilot, lambda: sorted(each.title for each in chat.threads) == ["first", "first (2)"])


async def test_a_message_with_its_memory_becomes_a_file(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.")) as (app, pilot, chat):
        await say_to(pilot, chat, "first")
        asked: list[tuple[Any, ...]] = []
        capsules: Any = app.session.states.capsules

        async def export(thread: str, path: Path, *, node: str | None = None) -> AsyncIterator[Any]:
            asked.append((thread, path, node))
            yield Prefilled(1, 2)
            yield Shared(str(path), 1_000, 2, 1)

        capsules.export = export  # the fake engine keeps no states
        await messages(app, pilot)
        await pilot.press("up", "k")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        assert "may learn" in getattr(app.screen, "question", ""), "said before anything is written"
        app.screen.query_one(Input).value = str(tmp_path / "talk")
        await pilot.press("enter")
        await until(pilot, lambda: any("may reveal" in each for each in toasts(app)))
        assert asked == [(chat.thread_id, tmp_path / "talk.capsule", chat.nodes[0].id)]


async def test_a_private_chat_says_so_all_the_time(tmp_path: Path) -> None:
    session = await fake_session(tmp_path, FakeEngine(), private=True)
    app = RwkvChatApp(session)
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            chat: Any = app.screen_stack[0]
            await until(pilot, lambda: app.desk.model.ready)
            await until(pilot, lambda: "private" in str(chat.query_one(StatusLine).render()))
            await app.desk.close()
    finally:
        await session.close()


async def test_a_new_chat_has_absorbed_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, engine("One.")) as (_, pilot, chat):
        await say_to(pilot, chat, "first")
        await until(pilot, lambda: chat.absorbed != "")
        words = chat.absorbed
        assert words in str(chat.query_one(StatusLine).render())
        await pilot.press("ctrl+n")
        await until(pilot, lambda: words not in str(chat.query_one(StatusLine).render()))
