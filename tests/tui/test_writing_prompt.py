"""Writing a message: drafts, messages that wait, what was sent before, folded texts, files, completions."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from textual import events

from engine.errors import OutOfMemory
from rwkv_chat.attachments import LARGEST, NotAttached, attach
from rwkv_chat.tui.completion import commands, files, wanted
from rwkv_chat.tui.folds import Folds, is_long, pasted_words
from rwkv_chat.tui.recall import Recall
from rwkv_chat.tui.slash import SLASH
from rwkv_chat.tui.widgets.completions import Completions
from rwkv_chat.tui.widgets.waiting_line import WaitingLine
from tests.chat.test_private import holding
from tests.fakes import FakeEngine, FakeReply, fake_session
from tests.tui.helpers import after_a_kill, on_disk, opened, say_to, toasts, until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from rwkv_chat.tui.screens.chat import ChatScreen
    from tests.conftest import Sample

LONG = "\n".join(f"line {n}" for n in range(30))
ENDLESS = " word" * 5000


@pytest.fixture(autouse=True)
def _kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwkv_chat.tui.drafts.SAVE_SECONDS", 0.02)


async def paste(pilot: Pilot[Any], text: str) -> None:
    pilot.app.post_message(events.Paste(text))
    await pilot.pause()


async def new_chat(pilot: Pilot[Any], screen: ChatScreen) -> None:
    await pilot.press("ctrl+n")
    await until(pilot, lambda: screen.shown_id is None and screen.drafted is None)


async def writing(pilot: Pilot[Any], screen: ChatScreen, text: str = "x") -> None:
    """Send a message, and wait until its reply grows."""
    screen.prompt.text = text
    await pilot.press("enter")
    await until(pilot, lambda: screen.live is not None and screen.live.text, "a reply that grows")


# ---------------------------------------------------------------------------------------------------- drafts


async def test_each_conversation_has_a_draft_and_so_has_the_new_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await say_to(pilot, screen, "one")
        first = screen.threads[0]
        screen.prompt.text = "half of the second"
        await new_chat(pilot, screen)
        assert screen.prompt.text == ""
        await paste(pilot, LONG)
        await pilot.press(*"and")
        await screen.open_thread(first)
        assert screen.prompt.text == "half of the second"
    async with opened(tmp_path) as (_, pilot, screen):
        await until(pilot, lambda: screen.prompt.text == "half of the second")
        await new_chat(pilot, screen)
        assert screen.prompt.text == "[pasted 30 lines]and"
        assert screen.prompt.written == LONG + "and"
        screen.prompt.text = ""
    async with opened(tmp_path) as (_, pilot, screen):
        await new_chat(pilot, screen)
        assert screen.prompt.text == ""


async def test_what_is_sent_is_no_draft_any_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        screen.prompt.text = "one"
        await until(pilot, lambda: app.desk.drafts.of(None).text == "one")
        await pilot.press("enter")
        await until(pilot, lambda: len(screen.nodes) == 2)
        await pilot.press(*"two")
        await until(pilot, lambda: app.desk.drafts.of(screen.thread_id).text == "two")
        assert app.desk.drafts.of(None).text == ""
        await until(pilot, lambda: not app.desk.drafts._changed, "the draft on the disk")
        assert (await on_disk(app.session))[screen.thread_id].text == "two"


async def test_what_is_typed_during_the_start_stands_after_the_draft(tmp_path: Path) -> None:
    from rwkv_chat.tui.app import RwkvChatApp

    async with opened(tmp_path) as (_, pilot, screen):
        screen.prompt.text = "kept"
        await pilot.pause()
    session, go_on = await fake_session(tmp_path, FakeEngine()), asyncio.Event()
    app = RwkvChatApp(session)
    prepare = app.desk.prepare

    async def held() -> None:
        await go_on.wait()
        await prepare()

    app.desk.prepare = held
    async with app.run_test() as pilot:
        screen: Any = app.screen_stack[0]
        screen.prompt.insert("typed")
        go_on.set()
        await until(pilot, lambda: screen.prompt.text == "kept\ntyped")
        await app.desk.close()
    await session.close()


async def test_a_private_chat_leaves_no_draft(tmp_path: Path) -> None:
    from rwkv_chat.tui.app import RwkvChatApp

    session = await fake_session(tmp_path, FakeEngine(), private=True)
    await session.change_settings(first_run_done=True)
    app = RwkvChatApp(session)
    async with app.run_test() as pilot:
        screen = app.screen_stack[0]
        await until(pilot, lambda: screen.begun)  # pyright: ignore[reportAttributeAccessIssue]
        screen.prompt.text = "Rhabarberkuchen"  # pyright: ignore[reportAttributeAccessIssue]
        await until(pilot, lambda: app.desk.drafts.of(None).text)
        await app.desk.close()
        assert (await on_disk(session))[None].text == "Rhabarberkuchen"
    await session.close()
    assert holding(tmp_path, b"Rhabarber") == []


# ------------------------------------------------------------------------------------ a message that waits


async def test_a_message_waits_for_the_end_of_a_reply(tmp_path: Path) -> None:
    engine = FakeEngine([" word" * 400, " Second."], delay=0.05)
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await writing(pilot, screen)
        await pilot.press(*"next", "enter")
        line = screen.query_one(WaitingLine)
        await until(pilot, lambda: line.display)
        assert "next" in str(line.render())
        assert screen.prompt.text == ""
        engine.jobs[-1].delay = 0
        await until(pilot, lambda: len(screen.nodes) == 4, "the second reply")
        assert [each.message.text for each in screen.nodes][2:] == ["next", "Second."]
        assert not line.display
        assert screen.desk.drafts.of(screen.thread_id).queued == ""


async def test_it_can_be_taken_back_and_a_stop_gives_it_back(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([ENDLESS], delay=0.005)) as (_, pilot, screen):
        await writing(pilot, screen)
        await pilot.press(*"one", "enter", *"two", "enter")
        await until(pilot, lambda: screen.prompt.waiting)
        await pilot.press("up")
        await until(pilot, lambda: screen.prompt.text == "one\ntwo")
        assert not screen.query_one(WaitingLine).display
        await pilot.press("enter", "escape")
        await until(pilot, lambda: screen.live is None and len(screen.nodes) == 2)
        await until(pilot, lambda: screen.prompt.text == "one\ntwo")
        assert len(screen.nodes) == 2


async def test_a_failure_gives_it_back_and_a_kill_leaves_it_as_a_draft(tmp_path: Path) -> None:
    failing = FakeReply(" word" * 300, error=OutOfMemory(2, 1))
    engine = FakeEngine([failing], delay=0.05)
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await writing(pilot, screen)
        await pilot.press(*"next", "enter")
        await until(pilot, lambda: not app.desk.drafts._changed and screen.prompt.waiting, "kept")
        assert (await on_disk(app.session))[screen.thread_id].queued == "next"
        async with after_a_kill(app.session) as other:
            assert other.of(screen.thread_id).text == "next"
        engine.jobs[-1].delay = 0
        await until(pilot, lambda: screen.prompt.text == "next")


async def test_it_is_sent_while_another_conversation_is_shown(tmp_path: Path) -> None:
    engine = FakeEngine([" word" * 300, " Second."], delay=0.05)
    async with opened(tmp_path, engine) as (_, pilot, screen):
        await writing(pilot, screen)
        first = screen.thread_id
        await pilot.press(*"next", "enter")
        await until(pilot, lambda: screen.prompt.waiting)
        await new_chat(pilot, screen)
        assert not screen.prompt.waiting
        engine.delay = engine.jobs[-1].delay = 0
        await until(pilot, lambda: len(engine.requests) == 2 and not screen.desk.turns.busy)
        await screen.open_thread(next(each for each in screen.threads if each.id == first))
        assert [each.message.text for each in screen.nodes][2:] == ["next", "Second."]


# ------------------------------------------------------------------------------------ what was sent before


def test_called_back_are_the_newest_first_and_at_last_what_was_typed() -> None:
    recall = Recall()
    recall.fill(["b", "a"])
    recall.add("c")
    assert [recall.older("typed"), recall.older("c"), recall.older("b"), recall.older("a")] == [
        *("c", "b", "a"),
        None,
    ]
    assert [recall.newer("a"), recall.newer("b"), recall.newer("c"), recall.newer("typed")] == [
        *("b", "c", "typed"),
        None,
    ]
    recall.older("typed")
    assert recall.older("c, changed") == "c"
    assert recall.newer("c") == "c, changed"


async def test_up_and_down_at_the_edges_call_back_what_was_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await say_to(pilot, screen, "first")
        await say_to(pilot, screen, "second\nof two lines")
    async with opened(tmp_path) as (_, pilot, screen):
        await until(pilot, lambda: screen.nodes and screen.prompt.recall._texts)
        await pilot.press(*"draft", "up")
        assert screen.prompt.text == "second\nof two lines"
        await pilot.press("up")
        assert screen.prompt.text == "first"
        await pilot.press("down")
        assert screen.prompt.text == "second\nof two lines"
        await pilot.press("down")
        assert screen.prompt.text == "draft"
        await pilot.press("ctrl+j", *"x", "up")
        assert screen.prompt.text == "draft\nx", "inside of the text they move the cursor"
        assert screen.prompt.cursor_location[0] == 0


# -------------------------------------------------------------------------------------------- folded texts


def test_a_mark_stands_for_its_text_and_nothing_else_does() -> None:
    folds = Folds()
    first, second = folds.add("pasted", "A [pasted #2]"), folds.add("pasted", "B")
    assert (first, second, folds.add("pasted", "B")) == ("[pasted]", "[pasted #2]", "[pasted #2]")
    assert folds.written("x [pasted] [pasted #2] [pasted #3]") == "x A [pasted #2] B [pasted #3]"
    assert folds.used("only [pasted #2]") == (("[pasted #2]", "B"),)
    assert Folds().written("[pasted]") == "[pasted]"


def test_what_is_long() -> None:
    assert not is_long("a\nb")
    assert is_long("a\n" * 20)
    assert is_long("a" * 3000)
    assert pasted_words("a" * 3000) == "pasted 3,000 characters"


async def test_a_long_paste_is_folded_and_sent_whole(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await paste(pilot, "short\ntext")
        assert screen.prompt.text == "short\ntext"
        await pilot.press("space")
        await paste(pilot, LONG)
        assert screen.prompt.text == "short\ntext [pasted 30 lines]"
        await pilot.press("enter")
        await until(pilot, lambda: len(screen.nodes) == 2)
        assert screen.nodes[0].message.text == "short\ntext " + LONG


async def test_a_mark_goes_as_a_whole_and_can_be_opened(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await paste(pilot, LONG)
        await pilot.press("left", "left", "x")
        assert screen.prompt.text == "[pasted 30 lines]x", "nothing is typed into it"
        await pilot.press("backspace", "backspace")
        assert screen.prompt.text == ""
        await paste(pilot, LONG)
        await pilot.press("home", "delete")
        assert screen.prompt.text == ""
        await pilot.press("ctrl+z")
        assert screen.prompt.text == "[pasted 30 lines]"
        assert screen.prompt.written == LONG
        screen.prompt.action_unfold()
        assert screen.prompt.text == LONG


async def test_many_lines_are_undone_and_done_again_at_once(tmp_path: Path) -> None:
    """With them goes the scrollbar, while the cursor still stands where they were."""
    async with opened(tmp_path) as (_, pilot, screen):
        box = screen.prompt
        for lines in (3, 12, 40):
            text = "\n".join(f"line {n}" for n in range(lines))
            box.insert(text)
            await pilot.pause()
            for step, expected in ((box.undo, ""), (box.redo, text), (box.clear, ""), (box.undo, text)):
                step()
                assert box.text == expected
                await pilot.pause()
                assert box.cursor_location[0] < box.document.line_count
            box.load("")


KEYS = (
    *("a", "space", "left", "right", "up", "down", "home", "end", "backspace", "delete", "ctrl+j"),
    *("ctrl+k", "ctrl+u", "ctrl+w", "ctrl+shift+k", "ctrl+z", "ctrl+y", "shift+left", "shift+up", "ctrl+x"),
)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_typed_around_a_mark_it_is_there_whole_or_not_at_all(
    tmp_path: Path, seed: int, sample: Sample
) -> None:
    draw = random.Random(seed)
    async with opened(tmp_path) as (_, pilot, screen):
        box = screen.prompt
        await paste(pilot, LONG)
        for _ in range(sample("keys around a folded text", 60, 1_000)):
            await pilot.press(draw.choice(KEYS))
            marks = box.text.count("[pasted 30 lines]")
            assert box.text.count("[") == box.text.count("]") == marks, box.text
            assert box.written.count("line 29") == marks


# ------------------------------------------------------------------------------------------- new lines, IME


async def test_a_backslash_at_the_end_asks_for_a_new_line(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await pilot.press("a", "backslash", "enter", "b")
        assert screen.prompt.text == "a\nb"


async def test_the_terminals_cursor_stands_where_one_writes(tmp_path: Path) -> None:
    """There an input method opens its window; a wide character takes two cells."""
    async with opened(tmp_path) as (app, pilot, screen):
        screen.prompt.text = "状態"
        screen.prompt.move_cursor(screen.prompt.document.end)
        await pilot.pause()
        inside = screen.prompt.content_region
        assert app.cursor_position == (inside.x + 4, inside.y)
        await pilot.press("ctrl+j", "a")
        await pilot.pause()
        inside = screen.prompt.content_region
        assert app.cursor_position == (inside.x + 1, inside.y + 1)


# --------------------------------------------------------------------------------------------- completions


def test_what_the_end_of_a_line_asks_for() -> None:
    assert wanted("/re", first=True)
    assert not wanted("/re", first=False)
    assert not wanted("/read x", first=True)
    assert not wanted("//re", first=True)
    for line, word in (("@", ""), ("see @a/b", "a/b"), ('see @"my di', "my di")):
        found = wanted(line, first=False)
        assert found is not None
        assert (found.kind, found.word) == ("file", word)
    for line in ("me@example.org", "see @a b", 'x"@a"'):
        assert wanted(line, first=False) is None, line


def test_every_command_is_offered_with_what_it_does() -> None:
    assert sorted(each.inserted.strip() for each in commands("")) == sorted(f"/{row.name}" for row in SLASH)
    assert all(each.help for each in commands(""))
    assert commands("undo")[0].whole
    assert commands("zzz") == []


def test_files_are_offered_folders_first_hidden_ones_after_a_dot(tmp_path: Path) -> None:
    for name in ("Notes.txt", "other.md", ".secret", "bad\nname"):
        (tmp_path / name).write_text("x")
    (tmp_path / "my notes").mkdir()
    assert [each.shown for each in files("", tmp_path)] == ["my notes/", "Notes.txt", "other.md"]
    assert [each.inserted for each in files("my", tmp_path)] == ['@"my notes/']
    assert [each.shown for each in files("n", tmp_path)] == ["Notes.txt"]
    assert [each.shown for each in files(".s", tmp_path)] == [".secret"]
    assert files("nowhere/", tmp_path) == []
    assert files("x\0/", tmp_path) == []


def offered(screen: ChatScreen) -> list[str]:
    there = screen.query_one(Completions)
    return [each.shown for each in there._offers] if there.display else []


async def test_a_command_is_completed_and_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await pilot.press(*"/mes")
        await until(pilot, lambda: offered(screen) == ["/messages"])
        await pilot.press("escape")
        await until(pilot, lambda: not offered(screen))
        await pilot.press("backspace")
        await pilot.pause()
        assert not offered(screen), "it stays closed for this word"
        screen.prompt.text = ""
        await pilot.press(*"/asi")
        await until(pilot, lambda: offered(screen))
        await pilot.press("tab")
        assert screen.prompt.text == "/aside "
        screen.prompt.text = ""
        await pilot.press(*"/h")
        await until(pilot, lambda: offered(screen))
        await pilot.press("enter")
        await until(pilot, lambda: type(app.screen).__name__ == "HelpScreen")


async def test_a_file_is_found_attached_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "code.py").write_text("print(1)\nprint('```')\n")
    monkeypatch.chdir(folder)
    async with opened(tmp_path / "home") as (_, pilot, screen):
        await pilot.press(*"see @s")
        await until(pilot, lambda: offered(screen) == ["sub/"])
        await pilot.press("tab")
        await until(pilot, lambda: offered(screen) == ["sub/code.py"])
        await pilot.press("enter")
        await until(pilot, lambda: "[file" in screen.prompt.text)
        assert screen.prompt.text == "see [file sub/code.py, 2 lines] "
        await pilot.press("enter")
        await until(pilot, lambda: len(screen.nodes) == 2)
        said = "see sub/code.py:\n````py\nprint(1)\nprint('```')\n````"
        assert screen.nodes[0].message.text == said


async def test_a_name_that_is_only_typed_attaches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.txt").write_text("hidden")
    monkeypatch.chdir(tmp_path)
    async with opened(tmp_path / "home") as (_, pilot, screen):
        await say_to(pilot, screen, "look at @secret.txt here")
        assert screen.nodes[0].message.text == "look at @secret.txt here"


async def test_what_cannot_be_attached_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\xff")
    monkeypatch.chdir(tmp_path)
    async with opened(tmp_path / "home") as (app, pilot, screen):
        await pilot.press(*"@pic")
        await until(pilot, lambda: offered(screen))
        await pilot.press("enter")
        await until(pilot, lambda: toasts(app))
        assert toasts(app) == ["picture.png is not text, so it cannot go into a message."]
        assert screen.prompt.text == "@pic"


def test_files_are_read_within_a_bound_and_pipes_are_not_waited_for(tmp_path: Path) -> None:
    def refused(name: str) -> str:
        with pytest.raises(NotAttached) as error:
            attach(tmp_path / name, tmp_path, tmp_path)
        return error.value.kind

    (tmp_path / "full").write_bytes(b"x" * LARGEST)
    (tmp_path / "more").write_bytes(b"x" * (LARGEST + 1))
    (tmp_path / "nul").write_bytes(b"a\0b")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "odd").write_bytes(b"\xef\xbb\xbfa\r\nb\x1b[31m")
    assert len(attach(tmp_path / "full", tmp_path, tmp_path).text) == LARGEST
    kinds = [refused(each) for each in ("more", "nul", "latin", "pipe", "nowhere", ".")]
    assert kinds == ["too_large", "binary", "binary", "no_file", "missing", kinds[-1]]
    assert kinds[-1] in ("no_file", "unreadable")
    assert attach(tmp_path / "odd", tmp_path, tmp_path).text == "a\nb[31m"


def test_a_file_is_named_by_where_it_really_is(tmp_path: Path) -> None:
    work, elsewhere = tmp_path / "work", tmp_path / "home" / "elsewhere"
    work.mkdir()
    elsewhere.mkdir(parents=True)
    (elsewhere / "real.txt").write_text("x")
    (work / "link.txt").symlink_to(elsewhere / "real.txt")
    home = tmp_path / "home"
    assert attach(work / "link.txt", work, home).name == "~/elsewhere/real.txt"
    assert (
        attach(work / ".." / "home" / "elsewhere" / "real.txt", work, work).name
        == str(elsewhere / "real.txt")
        or len(str(elsewhere)) > 40
    )
