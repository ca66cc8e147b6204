"""A session for one command: the person's own conversations, or a throwaway place with the same settings."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rwkv_chat.cli.output import note
from rwkv_chat.explain import settings_sentence
from rwkv_chat.paths import Paths
from rwkv_chat.session import Session, open_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def opened(model: Path | None, *, keep: bool, tuned: Path | None = None) -> AsyncIterator[Session]:
    """The session, its model already loading; closed at the end, and without `keep` forgotten.

    `tuned`: a tuned state that its conversations begin from.
    """
    if keep:
        async with _closing(await open_session(Paths.find(), model=model), tuned) as session:
            yield session
        return
    with tempfile.TemporaryDirectory(prefix="rwkv-chat-", ignore_cleanup_errors=True) as folder:
        paths = replace(Paths.find(), data=Path(folder))
        async with _closing(await open_session(paths, model=model), tuned) as session:
            yield session


@asynccontextmanager
async def _closing(session: Session, tuned: Path | None) -> AsyncIterator[Session]:
    session.models.tuned = tuned
    try:
        if session.settings_warning:
            note(settings_sentence(session.settings_warning))
        session.models.start()
        yield session
    finally:
        await session.close()
