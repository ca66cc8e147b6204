"""What is typed is not lost: between windows, on its way to the disk, in dialogs; what is erased is gone."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Label, TextArea

from rwkv_chat.library.errors import LibraryFull
from rwkv_chat.session import answering
from rwkv_chat.session.drafts import WRITING, Draft, Drafts
from rwkv_chat.tui.drafts import DraftKeeper, joined
from rwkv_chat.tui.recall import Recall
from rwkv_chat.tui.screens.dialogs import Confirm
from rwkv_chat.tui.screens.editing import EditDialog
from rwkv_chat.tui.screens.library import LibraryScreen
from rwkv_chat.tui.screens.messages import MessagesScreen
from rwkv_chat.tui.screens.replies import RepliesScreen
from rwkv_chat.tui.screens.writing import WritingScreen
from rwkv_chat.windows import SpokenElsewhere, Windows
from tests.fakes import FakeEngine, FakeReply, fake_session
from tests.tui.helpers import after_a_kill, on_disk, opened, say_to, toasts, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from rwkv_chat.session import Session
    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.screens.chat import ChatScreen

SENTINEL = "Zwetschgenknödel"


@pytest.fixture(autouse=True)
def _kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwkv_chat.tui.drafts.SAVE_SECONDS", 0.02)


async def kept(pilot: Pilot[Any], app: RwkvChatApp, place: str = "") -> None:
    """Wait until what is typed is on the disk as a draft."""
    chat: Any = app.screen_stack[0]
    box, drafts = app.screen.query_one(TextArea) if place else chat.prompt, app.desk.drafts
    await until(pilot, lambda: drafts.of(chat.drafted, place).text == box.text, "the draft")
    await until(pilot, lambda: not drafts._changed, "the draft on the disk")


@asynccontextmanager
async def another(home: Path) -> AsyncIterator[tuple[Session, DraftKeeper]]:
    """A second window on the same folder, without a screen; it is gone afterwards."""
    session = await fake_session(home)
    session.windows = Windows(session.paths.locks)
    keeper = DraftKeeper(session)
    await keeper.load()
    try:
        yield session, keeper
    finally:
        await keeper.close()
        await session.close()


# --------------------------------------------------------------------------------------------- two windows


async def test_each_window_keeps_what_was_typed_in_it(tmp_path: Path) -> None:
    async with opened(tmp_path, windows=True) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        thread = screen.thread_id
        screen.prompt.text = "of the first"
        await kept(pilot, app)
        async with another(tmp_path) as (session, keeper):
            assert keeper.of(thread) == Draft(), "it stands in a prompt elsewhere"
            keeper.put(thread, Draft("of the second", queued="waits there"))
            await keeper._save()
            screen.prompt.text = "of the first, and more"
            await kept(pilot, app)
            assert (await on_disk(session))[thread].text == "of the second"
            assert (await on_disk(app.session))[thread].text == "of the first, and more"
            await screen.open_thread(None)
            await screen.open_thread(screen.threads[0])
            assert screen.prompt.text == "of the first, and more", "nor does a live one hand anything on"
        await screen.open_thread(None)
        await screen.open_thread(screen.threads[0])
        both = "waits there\nof the second\nof the first, and more"
        await until(pilot, lambda: screen.prompt.text == both, "what the window left that is gone")
        await kept(pilot, app)
    async with opened(tmp_path, windows=True) as (_, pilot, screen):
        await until(pilot, lambda: screen.prompt.text == both)


async def test_what_comes_while_one_types_stands_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path, windows=True) as (app, pilot, screen):
        async with another(tmp_path) as (_, keeper):
            keeper.put(None, Draft("left [pasted]", (("[pasted]", "A"),)))
        folds = screen.prompt.folds
        screen.prompt.insert(f"typed {folds.add('pasted', 'B')}")
        app.desk.drafts.look_around()
        await until(pilot, lambda: "left" in screen.prompt.text)
        assert screen.prompt.text == "left [pasted]\ntyped [pasted #2]"
        assert screen.prompt.written == "left A\ntyped B"


async def test_a_window_that_is_still_dying_at_the_start_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwkv_chat.tui.drafts.LATE_SECONDS", 0.05)
    session = await fake_session(tmp_path)
    session.windows = Windows(session.paths.locks)
    await session.drafts.take_over()
    await session.drafts.keep(None, Draft("typed"))
    async with opened(tmp_path, windows=True) as (_, pilot, screen):
        assert screen.prompt.text == ""
        session.windows.close()
        screen.desk.drafts.look_around()  # at the latest; it looks by itself, too
        await until(pilot, lambda: screen.prompt.text == "typed")
    await session.close()


def test_two_drafts_are_joined_with_all_that_is_folded_in_them() -> None:
    first = Draft("a [x] [y]", (("[x]", "1"), ("[y]", "2")), "lost in neither")
    second = Draft("b [x] [y] [x #2]", (("[x]", "3"), ("[y]", "2"), ("[x #2]", "4")), "waits")
    both = joined(first, second)
    assert both.text == "a [x] [y]\nb [x #2] [y] [x #2 #2]"
    assert dict(both.folded) == {"[x]": "1", "[y]": "2", "[x #2]": "3", "[x #2 #2]": "4"}
    assert both.queued == "waits"
    assert joined(Draft(), second) == second


async def test_one_draft_that_cannot_be_kept_stands_in_no_others_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with another(tmp_path) as (session, keeper):
        thread, keep = await session.chats.create("x"), Drafts.keep

        async def failing(self: Drafts, key: str | None, draft: Draft, place: str = "") -> bool:
            if key is None:
                raise LibraryFull("library.sqlite")
            return await keep(self, key, draft, place)

        monkeypatch.setattr(Drafts, "keep", failing)
        keeper.put(None, Draft("one"))
        keeper.put(thread.id, Draft("half a character: \ud83d"))
        await keeper._save()
        assert (await on_disk(session))[thread.id].text == "half a character: \ufffd"
        monkeypatch.undo()
        await keeper._save()
        assert (await on_disk(session))[None].text == "one"


# ------------------------------------------------------------------------------------------- on the way out


@contextmanager
def nothing_is_committed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """Turns wait before they write anything, as for a window that is just being killed; or fail with what is
    put into the list.
    """
    speaking, errors = Windows.speaking, list[Exception]()

    @contextmanager
    def refused(_: Windows, thread: str) -> Iterator[None]:
        raise errors[0] if errors else SpokenElsewhere(thread)
        yield

    monkeypatch.setattr(answering, "LET_GO_SECONDS", 600.0)
    monkeypatch.setattr(Windows, "speaking", refused)
    try:
        yield errors
    finally:
        monkeypatch.setattr(Windows, "speaking", speaking)


async def test_a_message_is_on_the_disk_all_the_time_while_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the new conversation, and in one that is there."""
    async with opened(tmp_path, FakeEngine(["One.", "Two."])) as (app, pilot, screen):
        for text in ("first", "second"):
            with nothing_is_committed(monkeypatch):
                thread = screen.thread_id
                screen.prompt.text = text
                await kept(pilot, app)
                await pilot.press("enter")
                await until(pilot, lambda: screen.live is not None and not screen.prompt.text)
                await pilot.press("x")
                await until(pilot, lambda: not app.desk.drafts._saving or app.desk.drafts._saving.done())
                async with after_a_kill(app.session) as later:
                    assert text in later.of(thread).text
                screen.prompt.text = ""
            await until(pilot, lambda: screen.live is None and screen.nodes, "the reply")
            await kept(pilot, app)
            async with after_a_kill(app.session) as later:
                assert [each for each in later._drafts.values() if each != Draft()] == []
        assert [each.message.text for each in screen.nodes] == ["first", "One.", "second", "Two."]


async def test_a_message_that_fails_while_another_conversation_is_shown_is_a_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, FakeEngine(["One."])) as (app, pilot, screen):
        await say_to(pilot, screen, "first")
        first = screen.threads[0]
        with nothing_is_committed(monkeypatch) as errors:
            screen.prompt.text = "second"
            await pilot.press("enter")
            await until(pilot, lambda: screen.live is not None)
            await screen.open_thread(None)
            errors.append(LibraryFull("library.sqlite"))
            await until(pilot, lambda: not app.desk.turns.busy and toasts(app))
        assert screen.prompt.text == ""
        await screen.open_thread(first)
        assert screen.prompt.text == "second"


async def test_an_aside_is_kept_until_it_is_answered(tmp_path: Path) -> None:
    engine = FakeEngine(["One.", " word" * 400], delay=0.05)
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await say_to(pilot, screen, "first")
        screen.prompt.text = "/aside What was that?"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RepliesScreen))
        await kept(pilot, app)
        async with after_a_kill(app.session) as later:
            assert later.of(screen.thread_id).text == "/aside What was that?"
        engine.jobs[-1].delay = 0
        drafts = app.desk.drafts
        await until(pilot, lambda: not drafts._leaving and not drafts._changed, "the answer")
        assert await on_disk(app.session) == {}


# ---------------------------------------------------------------------------------- messages that are changed


async def edited(app: RwkvChatApp, pilot: Pilot[Any], key: str = "up") -> TextArea:
    await pilot.press("ctrl+e")
    await until(pilot, lambda: isinstance(app.screen, MessagesScreen))
    await pilot.press(key, "e")
    await until(pilot, lambda: isinstance(app.screen, EditDialog))
    return app.screen.query_one(TextArea)


async def test_a_change_that_is_broken_off_can_be_gone_on_with(tmp_path: Path) -> None:
    engine = FakeEngine(["One.", "Two."])
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await say_to(pilot, screen, "first")
        (await edited(app, pilot)).text = "first, but better"
        await kept(pilot, app, screen.nodes[0].id)
        async with after_a_kill(app.session) as later:
            assert later.of(screen.thread_id, screen.nodes[0].id).text == "first, but better"
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await until(pilot, lambda: toasts(app))
        assert "broken off" in toasts(app)[0]
        assert screen.prompt.text == "", "it is no message of its own"
        assert (await edited(app, pilot)).text == "first, but better"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(screen.nodes) == 2 and screen.nodes[1].message.text == "Two.")
        await kept(pilot, app)
        assert await app.session.drafts.mine() == ()


async def test_a_change_that_is_left_is_no_draft(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await say_to(pilot, screen, "first")
        box = await edited(app, pilot)
        box.text = "no"
        await until(pilot, lambda: app.desk.drafts.of(screen.thread_id, screen.nodes[0].id).text == "no")
        await pilot.press("escape")
        await until(pilot, lambda: not app.desk.drafts.of(screen.thread_id, screen.nodes[0].id).text)
        await kept(pilot, app)
        assert await app.session.drafts.mine() == ()


async def test_a_text_that_is_written_is_kept_as_it_is_typed(tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" there was")])
    async with opened(tmp_path, engine) as (app, pilot, screen):
        screen.prompt.text = "/text"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, WritingScreen))
        await pilot.press(*"Once")
        await kept(pilot, app, WRITING)
        async with after_a_kill(app.session) as later:
            assert later.of(screen.thread_id, WRITING).text == "Once"
    async with opened(tmp_path, engine) as (app, pilot, screen):
        await until(pilot, lambda: isinstance(app.screen, WritingScreen))
        writing: Any = app.screen
        await until(pilot, lambda: writing.area.text == "Once")
        writing.action_complete()
        await until(pilot, lambda: writing._shown == writing.area.text == "Once there was")
        await until(pilot, lambda: not app.desk.drafts.of(screen.thread_id, WRITING).text)
        await kept(pilot, app)
        assert await app.session.drafts.mine() == ()


# ------------------------------------------------------------------------------------------------ called back


def test_what_was_erased_elsewhere_is_not_called_back() -> None:
    recall = Recall()
    recall.fill(["b", "a"])
    recall.add("c")
    recall.add("/help")
    recall.fill(["c", "b"])
    assert recall._texts == ["/help", "c", "b"], "a is gone; what was never on the disk stays"
    assert recall.older("") == "/help"
    assert recall.older("/help") == "c"
    recall.fill(["b"])
    assert recall.older("c") == "/help", "c counts as typed now"
    recall.only(["b"])
    assert recall._texts == ["b"]
    assert recall.newer("/help") is None


async def test_what_was_erased_is_called_back_by_no_key(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await say_to(pilot, screen, "harmless")
        await pilot.press("ctrl+n")
        await say_to(pilot, screen, f"Never {SENTINEL}")
        thread = screen.thread_id
        screen.prompt.text = f"/quote {SENTINEL}"
        await pilot.press("enter")
        await until(pilot, lambda: screen.prompt.text.startswith("/quote"))
        await kept(pilot, app)
        app.animation_level = "none"
        await pilot.press("ctrl+l")
        await until(pilot, lambda: isinstance(app.screen, LibraryScreen))
        library: Any = app.screen
        await until(pilot, lambda: library.threads)
        await library._erase([library.threads[thread]], with_states=True)
        drafts = app.desk.drafts
        texts = [*screen.prompt.recall._texts, *map(str, (*drafts._drafts.values(), *drafts._leaving))]
        assert not any(SENTINEL in each for each in texts), "in memory, at once"
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen and screen.thread_id != thread)
        await until(pilot, lambda: SENTINEL not in screen.prompt.text)
        seen = [await _up(pilot, screen) for _ in range(4)]
        assert "harmless" in seen
        assert not any(SENTINEL in each for each in seen)


async def _up(pilot: Pilot[Any], screen: ChatScreen) -> str:
    await pilot.press("up")
    return screen.prompt.text


async def test_what_comes_out_of_the_trash_is_called_back_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot, screen):
        await say_to(pilot, screen, "hello")
        await screen._delete(True)
        assert screen.prompt.recall._texts == []
        await screen.action_undo_delete()
        assert screen.prompt.recall._texts == ["hello"]


# ------------------------------------------------------------------------------------------------- leaving


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """No draft can be written while this says so."""
    full, keep = [True], Drafts.keep

    async def kept_or_not(self: Drafts, thread: str | None, draft: Draft, place: str = "") -> bool:
        if full[0]:
            raise LibraryFull("library.sqlite")
        return await keep(self, thread, draft, place)

    monkeypatch.setattr(Drafts, "keep", kept_or_not)
    yield full
    full[0] = False  # the app is closed after the test


async def test_who_leaves_is_told_of_what_cannot_be_kept(full_disk: list[bool], tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await pilot.press(*SENTINEL, "ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "cannot be written" in str(app.screen.query_one(".dialog-question", Label).render())
        await pilot.press("enter")  # "Stay" has the focus
        await until(pilot, lambda: app.screen is screen)
        assert (screen.prompt.text, app._exit) == (SENTINEL, False)
        full_disk[0] = False
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)
        assert [each.text for each in (await on_disk(app.session)).values()] == [SENTINEL]


@pytest.mark.parametrize("keys", [("left", "enter"), ("ctrl+q",)])
async def test_one_may_leave_all_the_same(
    keys: tuple[str, ...], full_disk: list[bool], tmp_path: Path
) -> None:
    async with opened(tmp_path) as (app, pilot, _):
        await pilot.press(*SENTINEL, "ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press(*keys)
        await until(pilot, lambda: app._exit)


async def test_with_nothing_typed_nothing_is_asked(full_disk: list[bool], tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot, screen):
        await pilot.press("x", "backspace", "ctrl+q")
        await until(pilot, lambda: app._exit)
        assert app.screen is screen
