"""A session for one command: the person's own conversations, or a throwaway place with the same settings."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from rwkv_chat.cli.output import note
from rwkv_chat.cli.throwaway import throwaway
from rwkv_chat.explain import settings_sentence
from rwkv_chat.paths import Paths
from rwkv_chat.session import Session, open_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def opened(model: Path | None, *, keep: bool, tuned: Path | None = None) -> AsyncIterator[Session]:
    """The session, its model already loading; closed at the end, and without `keep` forgotten.

    `tuned`: a tuned state that its conversations begin from.
    """
    home = Paths.find()
    if keep:
        async with _closing(await open_session(home, model=model)) as session:
            _start(session, tuned)
            yield session
        return
    with throwaway() as folder:
        paths = replace(home, data=folder, models_folder=home.models)
        async with _closing(await open_session(paths, model=model)) as session:
            await session.shelf.adopt(home.database)
            _start(session, tuned)
            yield session


def _start(session: Session, tuned: Path | None) -> None:
    session.models.tuned = tuned
    session.models.start()


@asynccontextmanager
async def shelf_opened() -> AsyncIterator[Session]:
    """The person's own session for work on models as files: none is loaded."""
    async with _closing(await open_session(Paths.find())) as session:
        yield session


@asynccontextmanager
async def _closing(session: Session) -> AsyncIterator[Session]:
    try:
        if session.settings_warning:
            note(settings_sentence(session.settings_warning))
        yield session
    finally:
        await session.close()
