"""What becomes of an error that nobody foresaw while the program is shown: it is written down, with its
traceback, and told in one sentence over whatever is shown.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any

from rwkv_chat.texts import say

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from rwkv_chat.tui.app import RwkvChatApp

log = logging.getLogger(__name__)
TOLD_SECONDS = 15.0  # the same is not told again meanwhile: a clock may run into it every second


class Mishaps:
    """The event loop's exception handler: see `rwkv_chat.unforeseen`."""

    def __init__(self, app: RwkvChatApp) -> None:
        self._app = app
        self._told: dict[str, float] = {}  # sentence → when, in monotonic seconds

    def __call__(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Exception):  # no work that failed: what asyncio itself has to say
            loop.default_exception_handler(dict(context))
            return
        log.error("%s", context["message"], exc_info=error)
        text = words(error)
        if monotonic() - self._told.get(text, -TOLD_SECONDS) >= TOLD_SECONDS:
            self._told[text] = monotonic()
            self._app.notify(text, severity="error", timeout=TOLD_SECONDS, markup=False)


def words(error: Exception) -> str:
    """What happened, and what can be done, in one line."""
    from rwkv_chat.explain import sentence
    from rwkv_chat.tui.screens.telling import foreseen

    if isinstance(error, foreseen()):
        return sentence(error)
    return say("app.problem.unforeseen", kind=type(error).__name__, log=say("app.problem.log"))


def traced(page: object) -> tuple[str, str]:
    """The kind of the error on a page that Rich has made of one, and the lines of code that it passed."""
    stacks = getattr(getattr(page, "trace", None), "stacks", ())
    if not stacks:
        return type(page).__name__, ""
    frames = (f"{each.filename}:{each.lineno} in {each.name}" for each in stacks[0].frames)
    return stacks[0].exc_type, "\n".join(frames)
