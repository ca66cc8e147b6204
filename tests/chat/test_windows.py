"""Two windows on one folder: they take turns in a conversation, say so, and never break a file."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from engine.store.check import check_all
from rwkv_chat.library import health
from rwkv_chat.paths import Paths
from rwkv_chat.session import Answered, Committed, TurnFailed, answering
from rwkv_chat.session.errors import ThreadElsewhere
from rwkv_chat.windows import SpokenElsewhere, Windows
from tests.chat.real import GREEDY, ask, model_folder, open_real, told
from tests.chat.talk import until
from tests.children import in_child, warm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rwkv_chat.session import Session

THREAD = "a" * 32


def test_the_second_window_knows_that_it_is_not_alone(tmp_path: Path) -> None:
    first = Windows(tmp_path)
    second = Windows(tmp_path)
    assert (first.alone, second.alone) == (True, False)
    for each in (first, second):
        each.close()
    assert Windows(tmp_path).alone


def test_in_a_conversation_one_window_speaks_at_a_time(tmp_path: Path) -> None:
    first, second = Windows(tmp_path), Windows(tmp_path)
    with first.speaking(THREAD), first.speaking(THREAD):
        with pytest.raises(SpokenElsewhere), second.speaking(THREAD):
            pass
        with second.speaking("b" * 32):
            pass
    with second.speaking(THREAD):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["windows.lock"]


def test_a_name_that_is_no_conversations_is_no_file(tmp_path: Path) -> None:
    with Windows(tmp_path / "locks").speaking("../x"):
        assert not (tmp_path / "x.lock").exists()
    with Windows(None).speaking(THREAD):
        pass


def hold_and_die(folder: Path) -> None:
    windows = Windows(folder)
    windows.speaking(THREAD).__enter__()
    os._exit(1)


def test_a_window_that_died_holds_nothing(tmp_path: Path) -> None:
    child = warm().Process(target=hold_and_die, args=(tmp_path,))  # pyright: ignore[reportAttributeAccessIssue]
    child.start()
    child.join()
    assert Windows(tmp_path).alone
    with Windows(tmp_path).speaking(THREAD):
        pass


async def test_who_comes_second_is_told_and_nothing_is_sent(tmp_path: Path, opened: list[Session]) -> None:
    model = model_folder(tmp_path / "model")
    one, other = [await open_real(tmp_path / "home", model) for _ in range(2)]
    opened += [one, other]
    assert (one.windows.alone, other.windows.alone) == (True, False)
    thread = (await ask(one, None, "First")).thread.id
    with one.windows.speaking(thread):
        refused = await other.chats.send(thread, "Second", GREEDY).result()
        assert isinstance(refused, TurnFailed)
        assert isinstance(refused.error, ThreadElsewhere)
    assert len((await told(one, thread)).nodes) == 2
    await ask(other, thread, "Second")
    await ask(one, thread, "Third")
    both = [await told(each, thread) for each in (one, other)]
    assert both[0] == both[1]
    assert len(both[0].nodes) == 6


# --------------------------------------------------------------------------------- two processes


def talk(home: Path, model: Path, words: str) -> tuple[int, int]:
    """Speaks in every conversation there is, again and again; (turns answered, turns that were not begun)."""
    return asyncio.run(_talk(home, model, words))


async def _talk(home: Path, model: Path, words: str) -> tuple[int, int]:
    session = await open_real(home, model)
    done = refused = 0
    try:
        for turn in range(8):
            threads = await session.chats.threads()
            begun = committed = False
            async for event in session.chats.send(threads[turn % len(threads)].id, words, GREEDY):
                committed = committed or isinstance(event, Committed)
                begun = begun or isinstance(event, Answered)
                assert not isinstance(event, TurnFailed) or isinstance(event.error, ThreadElsewhere), event
            assert committed == begun
            done, refused = done + begun, refused + (not begun)
    finally:
        await session.close()
    return done, refused


async def test_two_processes_in_the_same_conversations_leave_whole_files(
    tmp_path: Path, opened: list[Session]
) -> None:
    model, home = model_folder(tmp_path / "model"), tmp_path / "home"
    session = await open_real(home, model)
    for text in ("one", "two"):
        await ask(session, None, text)
    await session.close()
    with ProcessPoolExecutor(2, mp_context=warm()) as both:
        counts = [both.submit(talk, home, model, words) for words in ("here", "there")]
        found = [await asyncio.wrap_future(each) for each in counts]
    assert in_child(_faults, home) == ()
    again = await open_real(home, model)
    opened.append(again)
    threads = await again.chats.threads()
    paths = [await told(again, each.id) for each in threads]
    assert sum(len(each.nodes) for each in paths) == 4 + 2 * sum(done for done, _ in found), "none is lost"
    assert all(error is None for _, error in check_all(Paths.under(home).states))
    for each in threads:
        reply = await ask(again, each.id, "and now?")
        assert reply.usage is not None
        assert reply.usage.history_tokens == 0, "both windows' states are there"


def _faults(home: Path) -> tuple[str, ...]:
    return health.look(Paths.under(home).database).faults


async def test_a_window_that_was_just_killed_is_waited_for(
    tmp_path: Path, opened: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system lets go of its locks only when it has taken its memory back."""
    monkeypatch.setattr(answering, "LET_GO_SECONDS", 60.0)
    home = tmp_path / "home"
    session = await open_real(home, model_folder(tmp_path / "model"))
    opened.append(session)
    thread = (await ask(session, None, "One")).thread.id
    locks = Paths.under(home).locks
    dying = Windows(locks)
    refused, speaking = asyncio.Event(), Windows.speaking

    @contextmanager
    def seen(self: Windows, thread: str) -> Iterator[None]:
        try:
            with speaking(self, thread):
                yield
        except SpokenElsewhere:
            refused.set()
            raise

    monkeypatch.setattr(Windows, "speaking", seen)

    async def ended() -> bool:
        return not (locks / f"{thread}.lock").exists()

    await until(ended)
    with speaking(dying, thread):
        turn = session.chats.send(thread, "Two", GREEDY)
        await refused.wait()
    assert isinstance(await turn.result(), Answered)
    dying.close()
