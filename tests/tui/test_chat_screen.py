"""The chat screen over a fake engine: sending, stopping, regenerating, and what is done to conversations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import events
from textual.widgets import Button, Input

from engine.errors import DiskFailed, OutOfMemory, StoreFull
from rwkv_chat.tui.screens.chat import ChatScreen
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.presets import PresetsDialog
from rwkv_chat.tui.slash import SLASH
from rwkv_chat.tui.widgets.chat_list import ChatList
from rwkv_chat.tui.widgets.status_line import StatusLine
from rwkv_chat.tui.widgets.suggestions import Suggestions
from tests.fakes import FakeEngine, FakeReply
from tests.tui.helpers import NARROW, opened, say_to, shown, toasts, until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.tui.conftest import Clock


async def test_a_message_is_answered_and_both_are_shown(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([" I am **here**."])) as (_, pilot, screen):
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: len(screen.nodes) == 2)
        assert "hello" in shown(screen)
        assert "I am here." in shown(screen)
        assert screen.prompt.text == ""
        assert [each.title for each in screen.threads] == ["hello"]


async def test_new_lines_grow_the_prompt_and_do_not_send(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        low = screen.prompt.size.height
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c")
        assert screen.prompt.text == "a\nb\nc"
        await until(pilot, lambda: screen.prompt.size.height > low)
        screen.prompt.text = "line\n" * 20
        await pilot.pause()
        assert screen.prompt.size.height <= 10
        assert not screen.nodes


async def test_a_blank_message_is_not_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await pilot.press("space", "enter")
        await pilot.pause()
        assert screen.prompt.text == " "
        assert not screen.threads


async def test_escape_stops_the_reply_and_keeps_it(tmp_path: Path) -> None:
    engine = FakeEngine([" word" * 2000], delay=0.005)
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await pilot.press("x", "enter")
        await until(pilot, lambda: screen.live is not None and len(screen.live.text) > 20)
        await pilot.press("escape")
        await until(pilot, lambda: screen.live is None and len(screen.nodes) == 2)
        kept = screen.nodes[-1]
        assert kept.status == "stopped"
        assert kept.message.text.startswith("word word")
        assert "Stopped." in shown(screen)


async def test_ctrl_c_stops_the_reply_and_else_says_once_what_quits(tmp_path: Path) -> None:
    engine = FakeEngine([" word" * 2000], delay=0.005)
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await pilot.press("x", "enter")
        await until(pilot, lambda: screen.live is not None and len(screen.live.text) > 20)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: screen.live is None and len(screen.nodes) == 2)
        assert screen.nodes[-1].status == "stopped"
        assert toasts(app) == []
        await pilot.press("ctrl+c", "ctrl+c")
        await until(pilot, lambda: toasts(app))
        assert toasts(app) == ["Ctrl+Q quits the program."]


async def test_a_message_typed_while_the_model_loads_is_answered_when_it_is_ready(tmp_path: Path) -> None:
    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.screens.chat import ChatScreen
    from tests.fakes import fake_session

    engine = FakeEngine(load_delay=0.5)
    session = await fake_session(tmp_path, engine)
    await session.change_settings(first_run_done=True)
    app = RwkvChatApp(session)
    async with app.run_test() as pilot:
        screen = app.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        await pilot.press("h", "i", "enter")
        await until(pilot, lambda: screen.begun and "Waiting for the model" in shown(screen))
        assert not app.desk.model.ready
        await until(pilot, lambda: "Hello there." in shown(screen))
    await session.close()


async def test_regenerate_puts_another_reply_in_its_place(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([" First.", " Second."])) as (_, pilot, screen):
        await say_to(pilot, screen, "hello")
        first = screen.nodes[-1].id
        await pilot.press("f5")
        await until(pilot, lambda: screen.live is None and screen.nodes[-1].id != first)
        assert [each.message.text for each in screen.nodes] == ["hello", "Second."]
        assert "First." not in shown(screen)


async def test_an_error_is_one_sentence_with_a_way_on_and_the_message_stays(tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply("", error=OutOfMemory(2_000_000_000, 1_000_000)), " Now it works."])
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await pilot.press("x", "enter")
        await until(pilot, lambda: "F5" in shown(screen))
        assert "Traceback" not in shown(screen)
        assert "2.0 GB" in shown(screen)
        await pilot.press("f5")
        await until(pilot, lambda: "Now it works." in shown(screen))
        assert [each.message.role for each in screen.nodes] == ["user", "assistant"]


async def test_a_reply_goes_on_while_another_conversation_is_shown(tmp_path: Path) -> None:
    engine = FakeEngine([" one" * 300, " Two."], delay=0.1)
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await pilot.press("a", "enter")
        await until(pilot, lambda: screen.live is not None and screen.live.text)
        reply = engine.jobs[-1]
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.thread is None)
        assert "one" not in shown(screen)
        engine.delay = 0
        await say_to(pilot, screen, "b")
        assert "Two." in shown(screen)
        await pilot.press("ctrl+pagedown")
        await until(pilot, lambda: screen.nodes and screen.nodes[0].message.text == "a")
        assert shown(screen).count("one") > 1
        reply.delay = 0
        await until(pilot, lambda: screen.live is None)
        assert shown(screen).count("one") == 300


async def test_rename(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        app.screen.query_one(Input).value = "  A new\x1b[31m name  "
        await pilot.press("enter")
        await until(pilot, lambda: screen.threads[0].title == "A new[31m name")


async def test_delete_asks_with_the_title_and_undo_brings_everything_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await say_to(pilot, screen, "keep me")
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert isinstance(app.screen, Confirm)
        assert "keep me" in app.screen.question
        assert "2 messages" in app.screen.question
        await pilot.press("enter")  # "keep" has the focus
        await until(pilot, lambda: app.screen is screen)
        assert len(screen.threads) == 1
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.click("#yes", offset=(1, 0))
        await until(pilot, lambda: not screen.threads)
        assert any("F9" in each for each in toasts(app))
        await pilot.press("f9")
        await until(pilot, lambda: len(screen.nodes) == 2)
        assert "keep me" in shown(screen)


async def test_deleting_while_a_reply_is_written_stops_it(tmp_path: Path) -> None:
    engine = FakeEngine([" word" * 3000], delay=0.003)
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await pilot.press("x", "enter")
        await until(pilot, lambda: screen.live is not None and screen.live.text)
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        app.screen.query_one("#yes", Button).press()
        await until(pilot, lambda: not screen.threads)
        assert not app.desk.turns.busy


async def test_next_previous_and_the_list(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        for text in ("first", "second", "third"):
            await pilot.press("ctrl+n")
            await until(pilot, lambda: screen.thread is None)
            await say_to(pilot, screen, text)
        assert [each.title for each in screen.threads] == ["third", "second", "first"]
        await pilot.press("ctrl+pagedown")
        await until(pilot, lambda: screen.thread and screen.thread.title == "second")
        await pilot.press("ctrl+pageup")
        await until(pilot, lambda: screen.thread and screen.thread.title == "third")
        screen.query_one(ChatList).focus()
        await pilot.press("end", "enter")
        await until(pilot, lambda: screen.thread and screen.thread.title == "first")


async def test_copy_strips_controls(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([" a\x1b]52;c;evil\x07b\x9bc"])) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        await pilot.press("f6")
        assert app.clipboard == "a]52;c;evilbc"


async def test_model_text_never_reaches_the_screen_as_control_or_markup(tmp_path: Path) -> None:
    reply = " [bold]x[/bold] [@click=app.quit]y[/] \x1b[31mred\x1b[0m \u202eabc"
    async with opened(tmp_path, FakeEngine([reply])) as (app, pilot, screen):
        await say_to(pilot, screen, "[red]hi[/red] \x1b[5m")
        text = shown(screen)
        assert "[bold]x[/bold] [@click=app.quit]y[/] [31mred[0m ‹U+202E›abc" in text
        assert "[red]hi[/red]" in text
        drawn = "".join(s.text for y in range(40) for s in screen.transcript.render_line(y))
        assert "\x1b" not in drawn
        assert "\u202e" not in drawn
        assert app.title == "[red]hi[/red] [5m"


async def test_suggestions_are_asked_by_number_enter_and_click(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await pilot.press("tab")
        assert isinstance(screen.focused, Suggestions)
        await pilot.press("2")
        await until(pilot, lambda: len(screen.nodes) == 2)
        assert screen.nodes[0].message.text == "How do I stop a reply?"
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.has_class("-empty"))
        await pilot.press("tab", "down", "down", "enter")
        await until(pilot, lambda: len(screen.nodes) == 2)
        assert screen.nodes[0].message.text == "Do you remember me?"
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.has_class("-empty"))
        await pilot.click("#suggestions", offset=(5, 0))
        await until(pilot, lambda: len(screen.nodes) == 2)
        assert screen.nodes[0].message.text == "What is this?"


async def test_a_digit_in_the_prompt_is_a_digit(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await pilot.press("1", "+", "1")
        assert screen.prompt.text == "1+1"


async def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([" Remember **this**."])) as (_, pilot, screen):
        await say_to(pilot, screen, "hello")
    async with opened(tmp_path) as (_, pilot, screen):
        await until(pilot, lambda: "Remember this." in shown(screen))
        assert len(screen.nodes) == 2


async def test_status_tells_speed_state_and_where_it_came_from(tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" Yes.", source="rebuilt", history_tokens=40)])
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await say_to(pilot, screen, "hello")
        line = str(screen.query_one(StatusLine).render())
        for word in ("Fake guide", "ready", "tok/s", "prefill", "50", "rebuilt"):
            assert word in line


async def test_a_state_that_could_not_be_saved_is_told_once_for_each_reason(tmp_path: Path) -> None:
    full = FakeReply(" Yes.", refused=StoreFull(3_000_000, 2_000_000, 2_000_000))
    engine = FakeEngine([full, full, FakeReply(" No.", refused=DiskFailed("/states", "read-only"))])
    async with opened(tmp_path, engine) as (app, pilot, screen):
        for text in ("one", "two", "three"):
            await say_to(pilot, screen, text)
        told = [each.message for each in app._notifications if "could not be saved" in each.message]
        assert ["budget" in each for each in told] == [True, False]
        assert "/states" in told[1]


async def test_the_list_hides_when_narrow_and_comes_over_on_demand(tmp_path: Path) -> None:
    async with opened(tmp_path, size=NARROW) as (_, pilot, screen):
        await say_to(pilot, screen, "hello")
        chats = screen.query_one(ChatList)
        assert not chats.display
        await pilot.press("f3")
        await until(pilot, lambda: chats.display)
        await pilot.press("f3")
        await until(pilot, lambda: not chats.display)


async def test_a_settings_file_that_cannot_be_written_does_not_disturb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (app, pilot, screen):

        def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("rwkv_chat.settings_file.write_atomically", refuse)
        await pilot.press("f4")
        await until(pilot, lambda: not screen.has_class("-sampling-hidden") and screen.panel)
        await app.desk.change(theme="contrast-dark")
        assert app.theme == "contrast-dark"
        assert not screen.has_class("-sampling-hidden")


async def test_a_reply_that_ends_while_its_conversation_is_opened_is_shown_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine([" one" * 60, " Two."], delay=0.1)
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await pilot.press("a", "enter")
        await until(pilot, lambda: screen.live is not None and screen.live.text)
        thread = screen.thread
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.thread is None)
        read = screen.chats.open

        async def slow(thread_id: str) -> object:
            stale = await read(thread_id)
            engine.jobs[-1].delay = 0
            await until(pilot, lambda: screen.live is None)
            return stale

        monkeypatch.setattr(screen.chats, "open", slow)
        await screen.open_thread(thread)
        assert shown(screen).count("one") == 60
        assert screen.nodes[-1].status == "complete"


async def test_the_status_speaks_of_the_conversation_that_is_shown(tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" Yes.", source="rebuilt", history_tokens=40)])
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await say_to(pilot, screen, "hello")
        status = screen.query_one(StatusLine)
        await until(pilot, lambda: "rebuilt" in str(status.render()))
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "rebuilt" not in str(status.render()))
        await pilot.press("ctrl+pagedown")
        await until(pilot, lambda: "rebuilt" in str(status.render()))


async def test_a_command_is_carried_out_or_stands_in_the_prompt_again(tmp_path: Path) -> None:
    """What is done is a coroutine's, and it says whether it was."""
    assert all(asyncio.iscoroutinefunction(getattr(ChatScreen, f"do_{row.name}")) for row in SLASH)
    async with opened(tmp_path, FakeEngine([" Copy this."])) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        screen.send("/copy")
        await until(pilot, lambda: app.clipboard == "Copy this.")
        screen.send("/preset nothing-like-it")
        await until(pilot, lambda: screen.prompt.text == "/preset nothing-like-it")
        screen.prompt.text = ""
        screen.send("/preset")
        await until(pilot, lambda: isinstance(app.screen, PresetsDialog))
        assert screen.prompt.text == ""
        await pilot.press("escape")
        screen.send("/tune")
        await until(pilot, lambda: app.current_mode == "tune")


async def test_line_ends_around_a_pasted_text_are_not_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await say_to(pilot, screen, "\n    indented\nlast\n\n")
        assert screen.nodes[0].message.text == "    indented\nlast"


async def test_letters_typed_beside_the_prompt_reach_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await pilot.press("tab")
        await until(pilot, lambda: screen.focused is screen.query_one(Suggestions))
        await pilot.press("h", "i")
        await until(pilot, lambda: screen.prompt.text == "hi")
        assert screen.focused is screen.prompt
        await say_to(pilot, screen, "hello")
        screen.query_one(ChatList).focus()
        await pilot.press("y", "space", "o")
        await until(pilot, lambda: screen.prompt.text == "y o")


async def test_thinking_is_folded_counted_and_opened_by_its_key(
    tmp_path: Path, clock: Clock, pieces: asyncio.Semaphore
) -> None:
    """And how long it was thought about is known after a restart."""
    text = " <think>" + "let me see " * 200 + "</think>\nThe answer."
    async with opened(tmp_path, FakeEngine([text], chunk=100)) as (_, pilot, screen):
        await pilot.press("x", "enter")
        pieces.release()
        await until(pilot, lambda: "▸ Thinking … 0 s" in shown(screen))
        clock.now += 1
        pieces.release()
        await until(pilot, lambda: "▸ Thinking … 1 s" in shown(screen))
        assert "let me see" not in shown(screen)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "let me see" in shown(screen))
        for _ in text:
            pieces.release()
        await until(pilot, lambda: screen.live is None and len(screen.nodes) == 2)
        assert "▾ Thought for" in shown(screen)
        assert "(600 words)" in shown(screen)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "let me see" not in shown(screen))
        assert "The answer." in shown(screen)
        label = next(line for line in shown(screen).splitlines() if "Thought for" in line)
    async with opened(tmp_path) as (_, pilot, screen):
        await until(pilot, lambda: label in shown(screen))


async def test_a_pasted_escape_code_steers_nothing(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine) as (app, pilot, screen):
        app.post_message(events.Paste("one\r\ntwo \x1b[31mred\x07\u202e"))
        await until(pilot, lambda: "red" in screen.prompt.text)
        assert screen.prompt.text == "one\ntwo [31mred\u202e"
        screen.prompt.give_back("\x1b]0;owned\x07")
        picture = app.export_screenshot()
        assert not {"\x1b", "\x07", "\u202e"} & set(picture)
