"""Errors of the session as one sentence on the screen, never a traceback."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)


def foreseen() -> tuple[type[Exception], ...]:
    """Errors that are told and survived; asked for when one is there: the first frame knows none of them."""
    from engine.errors import EngineError
    from rwkv_chat.library.errors import LibraryError
    from rwkv_chat.session.errors import SessionError
    from rwkv_chat.templates import TemplateInvalid

    return SessionError, LibraryError, EngineError, TemplateInvalid, OSError


def telling(method: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R | None]]:
    """For a screen's asynchronous method: an error that was foreseen becomes a toast, and gives None."""

    @functools.wraps(method)
    async def told(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return await method(*args, **kwargs)
        except foreseen() as error:
            from rwkv_chat.explain import sentence

            log.warning("%s: %s", method.__qualname__, type(error).__name__)
            screen: Any = args[0]
            screen.notify(sentence(error), severity="error", markup=False)
            return None

    return told
