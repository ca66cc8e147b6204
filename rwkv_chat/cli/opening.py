"""A session for one command: with the person's own conversations, or a private one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from engine.types import LoadNotice
from rwkv_chat.cli.last_resort import mishap
from rwkv_chat.cli.output import note
from rwkv_chat.cli.setting_options import overrides
from rwkv_chat.explain import notice_sentence, settings_sentence
from rwkv_chat.paths import Paths
from rwkv_chat.session import Session, open_session
from rwkv_chat.unforeseen import begin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def opened(
    model: Path | None, *, keep: bool, tuned: Path | None = None, dtype: str | None = None
) -> AsyncIterator[Session]:
    """The session, its model already loading; closed at the end. Without `keep` it is private: nothing that
    is said in it is written.

    `tuned`: a tuned state that its conversations begin from. `dtype`: in place of the settings'.
    """
    ours = await open_session(Paths.find(), model=model, private=not keep, overrides=overrides())
    async with _closing(ours) as session:
        _start(session, tuned, dtype)
        yield session


def _start(session: Session, tuned: Path | None, dtype: str | None) -> None:
    session.models.tuned, session.models.dtype = tuned, dtype
    session.models.start()


@asynccontextmanager
async def shelf_opened() -> AsyncIterator[Session]:
    """The person's own session for work on models as files: none is loaded."""
    async with _closing(await open_session(Paths.find())) as session:
        yield session


@asynccontextmanager
async def _closing(session: Session) -> AsyncIterator[Session]:
    asyncio.get_running_loop().set_exception_handler(mishap)
    telling = begin(_tell(session))
    try:
        if session.settings_warning:
            note(settings_sentence(session.settings_warning))
        yield session
    finally:
        telling.cancel()
        await session.close()


async def _tell(session: Session) -> None:
    """Of what people should know about loading, for as long as the session is open."""
    async for event in session.models.watch():
        if isinstance(event, LoadNotice):
            note(notice_sentence(event))
