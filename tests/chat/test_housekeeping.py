"""What is done when nobody waits: backups, the end of the trash, the log."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from rwkv_chat.library import backup, threads
from rwkv_chat.logs import start_logging, stop_logging
from rwkv_chat.session.housekeeping import keep_house
from tests.chat.real import answered
from tests.chat.talk import stored, until
from tests.fakes import FakeEngine, fake_session

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SECRET = "my secret word"  # noqa: S105  it is one, in a way


async def test_a_copy_is_made_and_the_old_trash_is_erased_with_its_states(tmp_path: Path) -> None:
    engine = FakeEngine()
    session = await fake_session(tmp_path, engine)
    old, new = [(await answered(session.chats.send(None, text))).thread.id for text in ("old", "new")]
    gone = {each.prefix for each in await stored(session, old)}
    kept = {each.prefix for each in await stored(session, new)}
    await session.chats.delete(old)
    await session.library.run(
        lambda db: db.execute("UPDATE threads SET deleted = 5 WHERE deleted IS NOT NULL")
    )
    await keep_house(session.library, engine, session.paths, settle=0)
    assert len(backup.backups(session.paths.backups)) == 1
    assert [each.id for each in await session.chats.threads()] == [new]
    assert await session.chats.deleted() == ()
    assert len(gone) == 2
    assert gone <= set(engine.forgotten)
    assert kept.isdisjoint(engine.forgotten)
    assert not set(engine.forgotten) & set(await session.library.run(threads.tip_keys))
    await session.close()


async def test_the_store_is_told_where_its_states_stand(tmp_path: Path) -> None:
    """After each turn, and of the conversations that it has states of at the start."""
    engine = FakeEngine()
    session = await fake_session(tmp_path, engine)
    ends = [await answered(session.chats.send(None, text)) for text in ("one", "two")]
    keys = [each.node.prefix or "" for each in ends if each.node]
    assert sorted(tip for each in engine.ladders.values() for tip in each.tips) == sorted(keys)
    assert all(len(each.rungs) == 2 and each.parents == (-1, 0) for each in engine.ladders.values())
    await session.close()
    again = FakeEngine(states={keys[1]})
    session = await fake_session(tmp_path, again)

    async def told() -> bool:
        return bool(again.ladders)

    await until(told)
    assert [each.tips for each in again.ladders.values()] == [(keys[1],)]
    await session.close()


async def test_a_failing_backup_stops_nothing(tmp_path: Path) -> None:
    session = await fake_session(tmp_path)
    session.paths.backups.rmdir()
    session.paths.backups.touch()
    await keep_house(session.library, FakeEngine(), session.paths, settle=0)
    await session.close()


def test_the_log_is_private_and_holds_no_chat_text(tmp_path: Path) -> None:
    file = tmp_path / "logs.log"
    handler = start_logging(file)
    log = logging.getLogger("rwkv_chat.somewhere")
    try:
        try:
            raise KeyError(SECRET) from ValueError(SECRET)
        except KeyError:
            log.exception("a turn failed")
        log.info("loaded")
        logging.getLogger("asyncio").error("an exception of theirs\n%r", SECRET)
    finally:
        stop_logging(handler)
    text = file.read_text()
    assert SECRET not in text
    assert "KeyError from ValueError" in text
    assert "test_housekeeping.py" in text
    assert "loaded" in text
    assert "an exception of theirs" in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_log_that_cannot_be_written_says_nothing_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    handler = start_logging(tmp_path / "logs.log")
    assert isinstance(handler, logging.StreamHandler)
    for each in ("write", "close"):
        monkeypatch.setattr(handler.stream, each, full)
    logging.getLogger("rwkv_chat").error("lost")
    stop_logging(handler)
    monkeypatch.undo()
    assert capsys.readouterr().err == ""


WITHOUT_A_LOG = """
import asyncio, logging, sys
from pathlib import Path
from rwkv_chat.paths import Paths
from rwkv_chat.session import open_session
async def main():
    paths = Paths.under(Path(sys.argv[1])).make()
    paths.log_file.mkdir()
    session = await open_session(paths)
    logging.getLogger("rwkv_chat").error("lost")
    await session.close()
asyncio.run(main())
"""


def test_without_a_log_nothing_is_said_on_the_terminal(tmp_path: Path) -> None:
    """Python's own way is to write warnings there."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_LOG, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_log_turns_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwkv_chat.logs.MAX_BYTES", 300)
    handler = start_logging(tmp_path / "logs.log")
    for _ in range(50):
        logging.getLogger("rwkv_chat").info("a line of some length")
    stop_logging(handler)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
