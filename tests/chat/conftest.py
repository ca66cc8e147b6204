"""Fixtures of the app's tests."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.library.database import connect
from tests.chat.command_line import cli, engine

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from rwkv_chat.session import Session

__all__ = ["cli", "engine"]  # fixtures of the command line's tests


@pytest.fixture
async def opened() -> AsyncIterator[list[Session]]:
    """Sessions put in here are closed at the end."""
    sessions: list[Session] = []
    yield sessions
    for each in sessions:
        await each.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a library may be made."""
    return tmp_path / "library.sqlite"


@pytest.fixture
def db(file: Path) -> Iterator[sqlite3.Connection]:
    """A new library's connection."""
    with closing(connect(file)) as opened:
        yield opened
