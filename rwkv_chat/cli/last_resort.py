"""Errors that nobody foresaw, of a command or of work beside it: one sentence on stderr, the traceback in the
log.
"""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rwkv_chat.cli.output import note
from rwkv_chat.explain import explain
from rwkv_chat.paths import FolderUnusable, Paths
from rwkv_chat.phrases import sentences
from rwkv_chat.texts import lookup, say

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger(__name__)


def tell(error: Exception, *, debug: bool) -> int:
    """Explain `error` to the person; the exit code."""
    if not _foreseen(error):
        _write_down(error, Paths.find())
    note(_words(error))
    if debug:
        note("".join(traceback.format_exception(error)), end="")
    return explain(error).code


def mishap(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's exception handler while a command runs: see `rwkv_chat.unforeseen`."""
    error = context.get("exception")
    if not isinstance(error, Exception):
        loop.default_exception_handler(context)
        return
    log.error("%s", context["message"], exc_info=error)
    note(_words(error))


def _words(error: Exception) -> str:
    found = explain(error)
    text = sentences(found.what, found.advice)
    if not _foreseen(error):
        text = say("cli.unexpected", what=found.what, log=Paths.find().log_file)
    return say("cli.error", text=text)


def _foreseen(error: Exception) -> bool:
    """Whether the catalogue knows the error by its own name, or the system gave a reason."""
    known = lookup(f"errors.{type(error).__name__}.title") is not None
    return (known and type(error).__name__ != "Unexpected") or isinstance(error, OSError)


def _write_down(error: Exception, paths: Paths) -> None:
    """One record with the lines of code it passed; a log that cannot be written is no second error."""
    from rwkv_chat.logs import start_logging, stop_logging

    with suppress(OSError, FolderUnusable):
        handler = start_logging(paths.make().log_file)
        log.critical("a command failed", exc_info=error)
        stop_logging(handler)
