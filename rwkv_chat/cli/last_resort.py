"""An error that ended a command: one sentence on stderr, the traceback in the log."""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress

from rwkv_chat.cli.output import note
from rwkv_chat.explain import explain
from rwkv_chat.paths import FolderUnusable, Paths
from rwkv_chat.phrases import sentences
from rwkv_chat.texts import lookup, say


def tell(error: Exception, *, debug: bool) -> int:
    """Explain `error` to the person; the exit code."""
    found = explain(error)
    text = sentences(found.what, found.advice)
    if not _foreseen(error):
        paths = Paths.find()
        _write_down(error, paths)
        text = say("cli.unexpected", what=found.what, log=paths.log_file)
    note(say("cli.error", text=text))
    if debug:
        note("".join(traceback.format_exception(error)), end="")
    return found.code


def _foreseen(error: Exception) -> bool:
    """Whether the catalogue knows the error by its own name, or the system gave a reason."""
    known = lookup(f"errors.{type(error).__name__}.title") is not None
    return (known and type(error).__name__ != "Unexpected") or isinstance(error, OSError)


def _write_down(error: Exception, paths: Paths) -> None:
    """One record with the lines of code it passed; a log that cannot be written is no second error."""
    from rwkv_chat.logs import start_logging, stop_logging

    with suppress(OSError, FolderUnusable):
        handler = start_logging(paths.make().log_file)
        logging.getLogger(__name__).critical("a command failed", exc_info=error)
        stop_logging(handler)
