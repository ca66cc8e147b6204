"""The log: one rotating file, readable by its owner alone, without a word of any conversation.

An exception's message may quote what was typed, so only its type and the lines of code it passed are written.
"""

from __future__ import annotations

import copy
import logging
import traceback
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any

from rwkv_chat.paths import private_file

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_000_000
KEEP = 3
OURS = ("rwkv_chat", "engine")


class QuietFormatter(logging.Formatter):
    """Formats a traceback without the exceptions' messages, and of other libraries' messages the first line,
    unfilled.
    """

    def format(self, record: logging.LogRecord) -> str:
        mine = copy.copy(record)
        mine.exc_text = None  # another handler's wording of the traceback
        return super().format(mine)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the base class's name
        if record.name.partition(".")[0] not in OURS:
            record.message = str(record.msg).partition("\n")[0]
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  the base class's name
        kind, error, trace = ei
        lines = traceback.format_tb(trace)
        names = [getattr(kind, "__name__", str(kind))]
        while error is not None and (error := error.__cause__ or error.__context__) is not None:
            names.append(type(error).__name__)
        return "".join(lines) + " from ".join(names)


class PrivateRotatingFile(RotatingFileHandler):
    """A rotating file whose every generation has mode 0600. Where it cannot be written (a full disk), the
    program goes on without: Python's own way is a traceback on the terminal.
    """

    def _open(self) -> Any:
        from pathlib import Path

        private_file(Path(self.baseFilename))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the base class's name
        pass


def start_logging(file: Path, level: int = logging.INFO) -> logging.Handler:
    """Send the program's log, and other libraries' warnings, to `file`; nothing reaches the terminal.

    Raises:
        OSError: the file cannot be written.
    """
    handler = PrivateRotatingFile(file, maxBytes=MAX_BYTES, backupCount=KEEP, encoding="utf-8")
    handler.setFormatter(QuietFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    return handler


def start_silence() -> logging.Handler:
    """In place of a log that cannot be written: with none at all, Python writes warnings to the terminal."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    return handler


def stop_logging(handler: logging.Handler) -> None:
    """Take the handler out again and close its file."""
    logging.getLogger().removeHandler(handler)
    with suppress(OSError):  # what was not written on a full disk
        handler.close()


def last_lines(file: Path, most_bytes: int = 200_000) -> tuple[str, ...]:
    """The whole lines among the log's last bytes; none where there is no log that can be read."""
    try:
        with file.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - most_bytes))
            text = log.read(most_bytes).decode("utf-8", "replace")
    except OSError:
        return ()
    lines = text.splitlines()
    return tuple(lines[1:] if size > most_bytes else lines)
