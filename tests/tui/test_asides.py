"""What stands around a conversation: its manner, the exact prompt, warnings, going on with another model."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Button, OptionList, Static

from rwkv_chat.library import trees
from rwkv_chat.session.exact import ExactPrompt
from rwkv_chat.session.tune_types import Voice
from rwkv_chat.transcript import ChatMessage, Node, Thread, Tree
from rwkv_chat.tui.prose.exact import exact_rows, token_text, visible
from rwkv_chat.tui.screens.exact import ExactScreen
from rwkv_chat.tui.screens.manner import MannerDialog
from rwkv_chat.tui.widgets.continue_bar import ContinueBar
from rwkv_chat.tui.widgets.exact_view import ExactView
from rwkv_chat.tui.widgets.lint_line import LintLine
from rwkv_chat.tui.widgets.status_line import StatusLine
from tests.fakes import ByteTokenizer, FakeEngine
from tests.tui.helpers import NARROW, PATIENCE, opened, say_to, toasts, until

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from textual.pilot import Pilot

    from rwkv_chat.session.reading import ToRead
    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.screens.chat import ChatScreen


LONG = tuple(
    Node(
        f"m{each}",
        f"m{each - 1}" if each else None,
        ChatMessage("assistant" if each % 2 else "user", f"message {each} " + "word " * 20),
    )
    for each in range(40)
)


def fed(engine: FakeEngine) -> str:
    """Everything that the last request feeds, as text."""
    request = engine.requests[-1]
    return ByteTokenizer().decode_bytes((*request.history, *request.prompt)).decode()


def status(screen: ChatScreen) -> str:
    return str(screen.query_one(StatusLine).render())


# -------------------------------------------------------------------------------------------- manner


async def manner(app: RwkvChatApp, pilot: Pilot[Any]) -> OptionList:
    await pilot.press("f7")
    await until(pilot, lambda: isinstance(app.screen, MannerDialog))
    rows = app.screen.query_one("#manner", OptionList)
    await until(pilot, lambda: rows.option_count and rows.size.height)
    return rows


def lines(rows: OptionList) -> list[str]:
    return [str(rows.get_option_at_index(at).prompt) for at in range(rows.option_count)]


async def choose(pilot: Pilot[Any], rows: OptionList, option: str) -> None:
    rows.highlighted = rows.get_option_index(option)
    await pilot.press("enter")


async def test_a_new_chat_thinks_as_was_chosen_before_its_first_message(tmp_path: Path) -> None:
    engine = FakeEngine([" <think>hm</think>\nYes."])
    async with opened(tmp_path, engine, size=NARROW) as (app, pilot, screen):
        rows = await manner(app, pilot)
        assert any(line.startswith("(x) As usual") for line in lines(rows))
        await choose(pilot, rows, "mode:bit")
        assert any(line.startswith("(x) a bit") for line in lines(rows))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert "thinks: a bit" in status(screen)
        await say_to(pilot, screen, "hello")
        assert "hello (think a bit)" in fed(engine)
        assert screen.thread is not None
        assert screen.thread.mode == "bit"
        assert [each.title for each in screen.threads] == ["hello"]
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.thread is None)
        assert "thinks" not in status(screen)


async def test_a_chats_template_mode_and_memory_are_changed_and_kept(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        rows = await manner(app, pilot)
        await choose(pilot, rows, "mode:bit")
        await choose(pilot, rows, "keep")
        assert "[x] Remember the thoughts" in "\n".join(lines(rows))
        await choose(pilot, rows, "template:bot")
        assert "mode:bit" not in [rows.get_option_at_index(at).id for at in range(rows.option_count)]
        assert any(line.startswith("(x) As usual") for line in lines(rows))
        await pilot.press("f7")
        await until(pilot, lambda: screen.thread is not None and screen.thread.chosen_template == "bot")
        await say_to(pilot, screen, "again")
        assert "User✿again✿\nBot✿" in fed(engine)
    async with opened(tmp_path, FakeEngine()) as (_, pilot, screen):
        await until(pilot, lambda: screen.thread is not None)
        assert screen.choices.template == "bot"
        assert screen.choices.keep_reasoning is True


async def test_a_chat_speaks_with_what_was_tuned_and_with_the_model_alone_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        rows = await manner(app, pilot)
        assert not any("voice:" in (each.id or "") for each in rows.options)  # nothing was tuned
        await pilot.press("escape")
        await say_to(pilot, screen, "hello")
        chosen: list[str] = []

        async def voices() -> tuple[Voice, ...]:
            return (Voice("p", "Like me", initial="s"), Voice("q", "As Ann", adapter="a"))

        async def speak_with(thread: str, voice: str) -> Thread:
            chosen.append(voice)
            adapter, initial = {"p": ("", "s"), "q": ("a", ""), "": ("", "")}[voice]
            assert screen.thread is not None
            assert screen.thread.id == thread
            return replace(screen.thread, adapter=adapter, initial=initial)

        monkeypatch.setattr(app.session.tunes, "voices", voices)
        monkeypatch.setattr(app.session.tunes, "speak_with", speak_with)
        for voice, before in (("p", "the model alone"), ("q", "Like me"), ("", "As Ann")):
            rows = await manner(app, pilot)
            assert f"(x) {before}" in lines(rows)
            await choose(pilot, rows, f"voice:{voice}")
            await pilot.press("escape")
            await until(pilot, lambda voice=voice: chosen[-1:] == [voice] and app.screen is screen)
            await until(
                pilot, lambda voice=voice: screen.thread is not None and _voice(screen.thread) == voice
            )


def _voice(thread: Thread) -> str:
    return {("", "s"): "p", ("a", ""): "q", ("", ""): ""}[thread.adapter, thread.initial]


async def test_a_click_chooses_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        rows = await manner(app, pilot)
        at = rows.get_option_index("mode:lot")
        await pilot.click("#manner", offset=(3, at))
        await until(pilot, lambda: any(line.startswith("(x) a lot") for line in lines(rows)))
        await pilot.press("escape")
        await until(pilot, lambda: "thinks: a lot" in status(screen))


# -------------------------------------------------------------------------------------------- exact prompt


async def test_the_exact_prompt_shows_what_was_fed_and_what_would_be(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        screen.prompt.text = "next\x1b[31m"
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(app.screen, ExactScreen))
        view = app.screen.query_one(ExactView)
        await until(pilot, lambda: view._rows)
        shown = "\n".join(each.text or "---" for each in view._rows)
        assert "‹0›User: hello↵" in shown
        assert "Hello there.\n---\n" in shown
        assert "User: next␛[31m↵" in shown
        assert "would be read now" in str(app.screen.query_one("#exact-counts", Static).render())
        await pilot.press("t")
        assert view.row_count == len(app.screen.exact.tokens)  # pyright: ignore[reportAttributeAccessIssue]
        assert "".join(segment.text for segment in view.render_line(0))
        await pilot.press("i")
        assert app.clipboard.startswith("0 86 ")
        await pilot.press("c")
        assert "User: hello\n" in app.clipboard
        assert "\x1b" not in app.clipboard
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)


async def test_the_exact_prompt_waits_for_no_model(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        app.session.models.speaker = None
        await pilot.press("ctrl+r")
        await until(pilot, lambda: any("still loading" in each for each in toasts(app)))
        assert app.screen is screen


@pytest.mark.parametrize("word", [" 你好", " a\x00b "])
async def test_a_hundred_thousand_tokens_scroll_without_stalling(word: str, tmp_path: Path) -> None:
    count = 100_000
    tokens, pieces = tuple(range(1, count + 1)), (word.encode(),) * count
    async with opened(tmp_path) as (app, pilot, _):
        begun = perf_counter()
        await app.push_screen(ExactScreen(ExactPrompt(tokens, pieces, count - 10, "classic", "none")))
        view = app.screen.query_one(ExactView)
        await until(pilot, lambda: view.row_count > 1000 and view.scroll_offset.y > 0)
        opening = perf_counter() - begun
        begun = perf_counter()
        for y in range(0, view.row_count, max(1, view.row_count // 100)):
            view.scroll_to(y=y, animate=False)
            for line in range(view.size.height):
                view.render_line(line)
        page = (perf_counter() - begun) / 100
        print(f"{word!r}: opened in {opening:.2f} s, a page in {page * 1000:.1f} ms")
        assert opening < 60
        assert page < 1
        await pilot.press("escape")


def test_nothing_in_a_prompt_stays_invisible() -> None:
    assert visible(b"a\tb\x00\x7f\x1b[0m") == "a⇥b␀␡␛[0m"
    assert visible(b"\xff\xfe ok") == "‹FF›‹FE› ok"
    assert visible("\u202e".encode()) == "‹U+202E›"
    assert visible(b"end  \nmore ") == "end␠␠\nmore␠"
    assert visible("a · ↵ ‹0›".encode()) == "a · ‹U+21B5› ‹U+2039›0›"
    assert visible("\u2028\x85".encode()) == "‹U+2028›‹U+0085›"
    assert token_text(0, b"") == "‹0›"
    assert token_text(5, b" hi\n") == "·hi↵"
    assert token_text(6, " ·".encode()) == "·‹U+00B7›"


@pytest.mark.parametrize("width", [10, 37, 80])
@pytest.mark.parametrize("text", ["plain text " * 30, "你好 wide\n" * 9, "\n\n\n", "x" * 80, "é" * 79 + "\n"])
def test_the_rows_hold_every_character_once(text: str, width: int) -> None:
    from rich.cells import cell_len

    data = text.encode()
    tokens, pieces = tuple(byte + 1 for byte in data), tuple(bytes([byte]) for byte in data)
    for border in (0, len(data) // 2, len(data)):
        try:
            data[:border].decode()
        except UnicodeDecodeError:
            border -= 1
        rows = exact_rows(tokens, pieces, border, width)
        joined = "".join(each.text for each in rows if each.text is not None)
        assert joined.replace("↵", "\n").replace("␠", " ") == text
        assert all(cell_len(each.text or "") <= width for each in rows)


# -------------------------------------------------------------------------------------------- warnings


async def test_a_long_warning_is_read_to_its_end(tmp_path: Path) -> None:
    async with opened(tmp_path, size=NARROW) as (_, pilot, screen):
        line = screen.query_one(LintLine)
        line.show(["A line begins with a word that begins a turn for this model, and it may answer to that."])
        await until(pilot, lambda: line.size.height == 2)
        assert "answer to that." in str(line.render())


async def test_a_warning_stands_under_the_prompt_and_stops_nothing(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with opened(tmp_path, engine, size=NARROW) as (_, pilot, screen):
        line = screen.query_one(LintLine)
        assert not line.display
        await pilot.press(*"one", "ctrl+j", "ctrl+j", *"two")
        await until(pilot, lambda: line.display, "the warning")
        assert "Blank lines are left out" in str(line.render())
        assert 1 <= line.size.height <= 2
        await pilot.press("enter")
        await until(pilot, lambda: len(screen.nodes) == 2)
        await until(pilot, lambda: not line.display)
        assert "User: one\ntwo" in fed(engine)


async def test_a_plain_message_has_no_warning(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await pilot.press(*"hello there")
        await pilot.pause(0.6)
        assert not screen.query_one(LintLine).display


# -------------------------------------------------------------------------------------------- another model


async def written_by_another(home: Path) -> None:
    async with opened(home) as (_, pilot, screen):
        await say_to(pilot, screen, "hello")


async def test_a_chat_of_another_model_is_read_on_enter_with_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await written_by_another(tmp_path)
    monkeypatch.setattr("tests.fakes.ID", "e" * 64)
    engine = FakeEngine(feed_delay=0.05)
    async with opened(tmp_path, engine, size=NARROW) as (_, pilot, screen):
        bar = screen.query_one(ContinueBar)
        await until(pilot, lambda: bar.offering, "the offer")
        said = str(screen.query_one("#continue-text", Static).render())
        assert "another model" in said
        assert "tokens to read" in said
        await pilot.press("enter")
        await until(pilot, lambda: engine.feeds)
        await until(pilot, lambda: " of " in str(screen.query_one("#continue-text", Static).render()))
        await pilot.press(*"typed")
        assert screen.prompt.text == "typed"
        await until(pilot, lambda: not bar.display, "the end")
        assert len(engine.feeds) == 1
        assert not engine.requests


async def test_reading_is_stopped_by_its_button_and_offered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await written_by_another(tmp_path)
    monkeypatch.setattr("tests.fakes.ID", "e" * 64)
    engine = FakeEngine(feed_delay=5)
    async with opened(tmp_path, engine) as (_, pilot, screen):
        bar = screen.query_one(ContinueBar)
        await until(pilot, lambda: bar.offering)
        await pilot.click("#continue-button")
        await until(pilot, lambda: engine.feeds)
        await until(pilot, lambda: bar.display and not bar.offering)
        screen.query_one("#continue-button", Button).press()  # it may still be moving: a click could miss it
        await until(pilot, lambda: bar.offering, "the offer again")


async def test_one_may_just_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await written_by_another(tmp_path)
    monkeypatch.setattr("tests.fakes.ID", "e" * 64)
    async with opened(tmp_path, FakeEngine()) as (_, pilot, screen):
        bar = screen.query_one(ContinueBar)
        await until(pilot, lambda: bar.offering)
        await say_to(pilot, screen, "and now")
        await pilot.pause()
        assert not bar.display


async def test_the_same_model_offers_nothing(tmp_path: Path) -> None:
    await written_by_another(tmp_path)
    async with opened(tmp_path) as (_, pilot, screen):
        await until(pilot, lambda: len(screen.nodes) == 2)
        await pilot.pause(0.1)
        assert not screen.query_one(ContinueBar).display


async def test_what_no_model_here_has_read_is_read_by_itself_and_left_when_one_goes(tmp_path: Path) -> None:
    """An imported conversation: its text is there at once, and the model reads it in the background."""
    engine = FakeEngine(delay=1.0)
    async with opened(tmp_path, engine) as (app, pilot, screen):
        session = app.session
        thread = await session.library.run(_imported, LONG)
        await screen.go(thread, "")
        assert len(screen.nodes) == 40
        bar = screen.query_one(ContinueBar)
        await until(pilot, lambda: bar.display and not bar.offering, "the reading")
        assert screen.query_one("#continue-last", Button).display
        await screen.action_new_chat()
        await until(pilot, lambda: not screen._readings, "the end of the reading")
        await screen.go(thread, "")
        await until(pilot, lambda: screen.query_one("#continue-last", Button).display)
        screen.query_one("#continue-last", Button).press()
        await until(
            pilot, lambda: any(each.fresh for each in screen.nodes), "a memory that begins at the end"
        )


@pytest.mark.parametrize("moment", ["to_read", "read"])
async def test_what_is_left_just_before_its_reading_begins_is_not_read(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left while its tokens are counted, or when its reading is wanted and has not begun."""
    engine = FakeEngine(delay=1.0)
    async with opened(tmp_path, engine) as (app, pilot, screen):
        thread = await app.session.library.run(_imported, LONG)
        count, begin, left = screen.chats.to_read, screen.begin_reading, asyncio.Event()

        def leave() -> None:
            if not left.is_set():
                screen.thread_id = None  # as a conversation that is opened has it at once
                screen.show_asides()
                left.set()

        async def counted(id_: str) -> ToRead:
            there = await count(id_)
            if moment == "to_read":
                leave()
            return there

        def begun(**named: bool) -> None:
            begin(**named)
            leave()

        monkeypatch.setattr(screen.chats, "to_read", counted)
        monkeypatch.setattr(screen, "begin_reading", begun)
        await screen.go(thread, "")
        await asyncio.wait_for(left.wait(), PATIENCE)
        await until(pilot, lambda: not any(each.group.startswith("read ") for each in screen.workers))
        assert not engine.feeds
        assert not screen._readings
        assert not toasts(app)
        await screen.open_thread(None)
        await screen.go(thread, "")
        await until(pilot, lambda: screen._readings, "the reading when it is opened again")


def _imported(db: sqlite3.Connection, nodes: tuple[Node, ...]) -> str:
    return trees.add(db, Tree(Thread("t", "Imported", nodes[-1].id), nodes, nodes))
