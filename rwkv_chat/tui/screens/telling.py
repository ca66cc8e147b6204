"""Errors of the session as one sentence on the screen, never a traceback."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
log = logging.getLogger(__name__)


def foreseen() -> tuple[type[Exception], ...]:
    """Errors that are told and survived; asked for when one is there: the first frame knows none of them."""
    from engine.errors import EngineError
    from rwkv_chat.library.errors import LibraryError
    from rwkv_chat.session.errors import SessionError

    return SessionError, LibraryError, EngineError, OSError


def telling(method: Callable[P, Awaitable[None]]) -> Callable[P, Coroutine[Any, Any, None]]:
    """For a screen's asynchronous method: an error that was foreseen becomes a toast."""

    @functools.wraps(method)
    async def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await method(*args, **kwargs)
        except foreseen() as error:
            from rwkv_chat.explain import sentence

            log.warning("%s: %s", method.__qualname__, type(error).__name__)
            screen: Any = args[0]
            screen.notify(sentence(error), severity="error", markup=False)

    return told
