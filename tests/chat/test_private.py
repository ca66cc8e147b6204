"""A private chat writes nothing, and shows nothing of what was kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.tokenizer import load_tokenizer
from rwkv_chat.library.rows import pack
from rwkv_chat.paths import Paths
from rwkv_chat.session import Session, cards, open_session
from tests.chat.real import GREEDY
from tests.chat.talk import answered

if TYPE_CHECKING:
    import pytest

SENTINEL = "Rhabarberkuchen mit Streuseln"


def tokens_of(text: str) -> bytes:
    """Those in the middle: at the ends of a text its tokens depend on what stands around it."""
    return pack(tuple(load_tokenizer(cards.builtin().tokenizer).encode(text))[2:-2])


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file but the log, which is opened, and what SQLite puts beside a database that
    is only looked at.
    """
    ours = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log")
    found = {path: path.stat() for path in ours if not path.name.endswith(("-wal", "-shm"))}
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


def holding(folder: Path, *needles: bytes) -> list[Path]:
    """Files that hold one of these anywhere."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(each in path.read_bytes() for each in needles)
    ]


async def talk(session: Session) -> str:
    """Two messages, the second with what the first left in memory; the thread."""
    session.models.start()
    first = session.chats.send(None, SENTINEL, GREEDY)
    thread = first.thread
    await answered(first)
    done = await answered(session.chats.send(thread, "Another?", GREEDY))
    assert done.usage is not None
    assert done.usage.history_tokens == 0  # nothing was read again
    return thread


async def test_nothing_is_written(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    paths = Paths.find()
    await (await open_session(paths)).close()
    before = files(home)
    session = await open_session(paths, private=True)
    try:
        thread = await talk(session)
        assert [each.id for each in await session.chats.threads()] == [thread]
    finally:
        await session.close()
    cache = {name for name in files(home) if Path(name).is_relative_to(paths.cache)}
    assert {name: each for name, each in files(home).items() if name not in cache} == before
    assert holding(home, SENTINEL.encode(), tokens_of(SENTINEL)) == []
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_chat_that_is_kept_would_be_found_so(home: Path) -> None:
    """The search above finds what is written: as text, and as token ids."""
    session = await open_session(Paths.find())
    try:
        await talk(session)
    finally:
        await session.close()
    assert holding(home, SENTINEL.encode())
    assert holding(home, tokens_of(SENTINEL))


async def test_what_was_kept_is_not_shown_and_stays(home: Path) -> None:
    session = await open_session(Paths.find())
    thread = await session.chats.create("kept")
    await session.close()
    private = await open_session(Paths.find(), private=True)
    assert await private.chats.threads() == ()
    await private.chats.create("private")
    await private.close()
    session = await open_session(Paths.find())
    assert [each.id for each in await session.chats.threads()] == [thread.id]
    await session.close()


def test_line_mode_says_so(home: Path) -> None:
    command = [sys.executable, "-m", "rwkv_chat", "chat", "--plain", "--private", "--max-tokens", "4"]
    done = subprocess.run(command, input=f"{SENTINEL}\n".encode(), capture_output=True, check=True)
    assert b"A private chat" in done.stderr
    assert done.stdout.strip()
    assert holding(home, SENTINEL.encode(), tokens_of(SENTINEL)) == []
