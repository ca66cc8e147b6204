"""The log: one rotating file, readable by its owner alone, without a word of any conversation.

An exception's message may quote what was typed, so only its type and the lines of code it passed are written.
"""

from __future__ import annotations

import logging
import traceback
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any

from rwkv_chat.paths import private_file

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_000_000
KEEP = 3
ROOTS = ("rwkv_chat", "engine")


class QuietFormatter(logging.Formatter):
    """Formats a traceback without the exceptions' messages."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  the base class's name
        kind, error, trace = ei
        lines = traceback.format_tb(trace)
        names = [getattr(kind, "__name__", str(kind))]
        while error is not None and (error := error.__cause__ or error.__context__) is not None:
            names.append(type(error).__name__)
        return "".join(lines) + " from ".join(names)


class PrivateRotatingFile(RotatingFileHandler):
    """A rotating file whose every generation has mode 0600."""

    def _open(self) -> Any:
        from pathlib import Path

        private_file(Path(self.baseFilename))
        return super()._open()


def start_logging(file: Path, level: int = logging.INFO) -> logging.Handler:
    """Send the program's log to `file`, and nothing to the terminal. Raises: OSError."""
    handler = PrivateRotatingFile(file, maxBytes=MAX_BYTES, backupCount=KEEP, encoding="utf-8")
    handler.setFormatter(QuietFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ROOTS:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
    return handler


def stop_logging(handler: logging.Handler) -> None:
    """Take the handler out again and close its file."""
    for name in ROOTS:
        logging.getLogger(name).removeHandler(handler)
    handler.close()
