"""Programs that get the terminal for a while: an editor, a pager. Replies go on meanwhile, undrawn."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from rwkv_chat.paths import private_file
from rwkv_chat.plain_text import pasted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    Lent = Callable[[], AbstractContextManager[None]]

MOST = 2_000_000  # bytes that are read back


class OutsideFailed(Exception):
    """The other program could not do its part.

    Attributes:
        kind: "terminal": it cannot be handed over; "missing": no such program; "ended": it ended badly;
            "ended_kept": it did, after it had changed the text; "large": the text is too long for a message.
        kept: the file that has the text, in the last two cases; else None.
    """

    def __init__(self, kind: str, program: str = "", kept: Path | None = None) -> None:
        super().__init__(kind, program)
        self.kind, self.program, self.kept = kind, program, kept


async def edit(lent: Lent, program: Sequence[str], text: str) -> str:
    """A text as somebody left it in an editor. The file is in a folder of its own that nobody else can read,
    and that is removed, unless the file has something that could not be taken from it. `lent` gives the
    terminal away. Raises: OutsideFailed, OSError.
    """
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="rwkv-chat-"))
    file, given, kept = folder / "message.md", text.encode("utf-8", "replace"), False
    try:
        private_file(file)
        await asyncio.to_thread(file.write_bytes, given)
        try:
            await _run(lent, [*program, str(file)])
        except OutsideFailed as error:
            kept = error.kind == "ended" and await asyncio.to_thread(_differs, file, given)
            if kept:
                raise OutsideFailed("ended_kept", error.program, file) from error
            raise
        data = await asyncio.to_thread(_read, file)
        kept = len(data) > MOST
        if kept:
            raise OutsideFailed("large", program[0], file)
        return pasted(data.decode("utf-8-sig", "replace")).removesuffix("\n")
    finally:
        if not kept:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _read(file: Path) -> bytes:
    """No more than shows that it is too long."""
    with file.open("rb") as opened:
        return opened.read(MOST + 1)


def _differs(file: Path, given: bytes) -> bool:
    try:
        return _read(file) not in (given, b"")
    except OSError:
        return False


async def page(lent: Lent, program: Sequence[str], text: str) -> None:
    """Show a text in a pager; it gets it through a pipe, never as a file. Raises: OutsideFailed, OSError."""
    await _run(lent, program, text.encode("utf-8", "replace"))


async def _run(lent: Lent, line: Sequence[str], given: bytes | None = None) -> None:
    if shutil.which(line[0]) is None:
        raise OutsideFailed("missing", line[0])
    try:
        with lent(), _interrupts_ignored():
            pipe = None if given is None else asyncio.subprocess.PIPE
            running = await asyncio.create_subprocess_exec(*line, stdin=pipe)
            await running.communicate(given)
    except SuspendNotSupported as error:
        raise OutsideFailed("terminal") from error
    if running.returncode:
        raise OutsideFailed("ended", line[0])


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ctrl+C is the other program's. A handler, unlike an ignored signal, is not passed on to it; the one
    that was there before is put back, which the loop by itself does not.
    """
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)
    try:
        if sys.platform != "win32":
            loop.add_signal_handler(signal.SIGINT, lambda: None)
    except (RuntimeError, ValueError):  # not the main thread
        yield
        return
    try:
        yield
    finally:
        if sys.platform != "win32":
            loop.remove_signal_handler(signal.SIGINT)
            if before is not None:
                signal.signal(signal.SIGINT, before)
