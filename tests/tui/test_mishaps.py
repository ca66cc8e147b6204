"""Errors that nobody foresaw: each way in which one may come up ends in a record in the log and one sentence,
and the program goes on.
"""

from __future__ import annotations

import ast
import asyncio
import errno
import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import WorkerDied
from rwkv_chat.logs import start_logging, stop_logging
from rwkv_chat.paths import Paths
from rwkv_chat.texts import say
from rwkv_chat.tui.mishaps import words
from rwkv_chat.tui.working import start_work
from rwkv_chat.unforeseen import begin, safely
from tests.fakes import FakeEngine
from tests.tui.helpers import opened, say_to, shown, toasts, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest
    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp

ROOT = Path(__file__).parents[2] / "rwkv_chat"
# who may start what, and why its errors are not lost
STARTERS = {
    "run_worker": {"tui/working.py"},
    "create_task": {
        "unforeseen.py",
        "session/models.py",  # a load: `_load` tells its error to everyone who watches the model
        "session/readings.py",  # a change: awaited by the reading that it is made for
    },
    "ensure_future": {  # awaited in the lines below it
        "session/replying.py",
        "session/answering.py",
        "session/steps.py",
    },
}
TYPED = "what was typed"  # an error's message may quote it


class Ours(Exception):
    """Nobody foresees it."""


def failing(kind: str) -> Exception:
    """An error of a kind of its own: the same is not told twice."""
    return type(kind, (Ours,), {})(TYPED)


async def fails(kind: str) -> None:
    raise failing(kind)


def fails_at_once(kind: str) -> None:
    raise failing(kind)


@contextmanager
def logged(home: Path) -> Iterator[Path]:
    """The log of a session over `home`, which tests open without one."""
    file = Paths.under(home).make().log_file
    handler = start_logging(file)
    try:
        yield file
    finally:
        stop_logging(handler)


def test_work_is_started_where_its_errors_are_told() -> None:
    found: dict[str, set[str]] = {name: set() for name in STARTERS}
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in found
            ):
                found[node.func.attr].add(file.relative_to(ROOT).as_posix())
    assert found == STARTERS


async def told(app: RwkvChatApp, pilot: Pilot[Any], log: Path, kind: str) -> None:
    """One sentence, with what can be done; the lines of code in the log; and no word of the error itself."""
    sentence = f"Something unexpected happened ({kind})"
    await until(pilot, lambda: any(sentence in each for each in toasts(app)), sentence)
    (text,) = (each for each in toasts(app) if sentence in each)
    assert "Ctrl+P" in text
    assert say("app.problem.log") in text
    written = await asyncio.to_thread(log.read_text)
    *_, record = written.split("ERROR")
    assert "raise failing(kind)" in record
    assert kind in record
    assert TYPED not in written + text


# way in which an error may come up → how; what it gives is held on to
WAYS: dict[str, Callable[[RwkvChatApp, str], object]] = {
    "worker": lambda app, kind: start_work(app.screen, partial(fails, kind)),
    "coroutine": lambda app, kind: start_work(app.screen, fails(kind)),
    "task": lambda _, kind: begin(fails(kind)),
    "call": lambda _, kind: safely(fails_at_once, kind),
    "callback": lambda _, kind: asyncio.get_running_loop().call_soon(fails_at_once, kind),
    "clock": lambda _, kind: asyncio.get_running_loop().call_later(0, fails_at_once, kind),
}


async def test_each_error_is_written_down_and_told_and_the_program_goes_on(tmp_path: Path) -> None:
    with logged(tmp_path) as log:
        async with opened(tmp_path) as (app, pilot, screen):
            for way, fail in WAYS.items():
                kept = fail(app, f"Of{way}")
                await told(app, pilot, log, f"Of{way}")
                del kept
            await say_to(pilot, screen, "hello")
            assert app.is_running


async def test_what_an_engine_calls_may_fail(tmp_path: Path) -> None:
    """Its process is gone, and one of those who look at the model makes a mistake: the others are told."""
    engine = FakeEngine()
    with logged(tmp_path) as log:
        async with opened(tmp_path, engine) as (app, pilot, _):
            app.desk.watchers.insert(0, partial(fails_at_once, "OfEngine"))
            assert engine.on_death is not None
            engine.on_death(WorkerDied(-9))
            await told(app, pilot, log, "OfEngine")
            await until(pilot, lambda: app.desk.model.error is not None, "the death")


async def test_a_screen_that_fails_loses_nothing_of_a_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged(tmp_path) as log:
        async with opened(tmp_path, FakeEngine([" One two."])) as (app, pilot, screen):
            monkeypatch.setattr(screen.transcript, "grow", lambda *_, **__: fails_at_once("OfScreen"))
            await say_to(pilot, screen, "hello")
            await told(app, pilot, log, "OfScreen")
            assert "One two." in shown(screen)


async def test_what_is_told_and_what_is_not(tmp_path: Path) -> None:
    async def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    begun: list[int] = []

    async def waits() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    async with opened(tmp_path) as (app, pilot, screen):
        first = start_work(screen, waits, group="one", exclusive=True)
        await until(pilot, lambda: begun)
        start_work(screen, waits, group="one", exclusive=True)
        await until(pilot, lambda: len(begun) == 2 and first.is_cancelled, "another in its place")
        start_work(screen, full)
        await until(pilot, lambda: any("No space left" in each for each in toasts(app)), "its own words")
        assert not any("unexpected" in each for each in toasts(app))
        for _ in range(5):
            start_work(screen, partial(fails, "Again"))
        await until(pilot, lambda: len(app.workers) == 1, "their end")
        assert sum("Again" in each for each in toasts(app)) == 1


def test_the_sentence_names_a_key_and_nothing_that_was_typed() -> None:
    assert "Ctrl+P" in words(Ours(TYPED))
    assert TYPED not in words(Ours(TYPED))
