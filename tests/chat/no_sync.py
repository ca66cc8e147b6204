"""A process in which nothing can be synced: the system itself says no, to Python and to SQLite alike.

Linux lets a process refuse system calls to itself for good (seccomp), so this is done in a child.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import platform
import struct
import sys
from typing import TYPE_CHECKING

from rwkv_chat.explain import sentence
from tests.chat.talk import answered, failed, said
from tests.fakes import FakeEngine, fake_session

if TYPE_CHECKING:
    from pathlib import Path

CALLS = {"x86_64": (74, 75, 317), "aarch64": (82, 83, 277)}  # fsync, fdatasync, seccomp
THERE = sys.platform == "linux" and platform.machine() in CALLS
_LOAD_NUMBER, _JUMP_IF, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000 | errno.EIO
_SET_FILTER, _ALL_THREADS, _NO_NEW_PRIVILEGES = 1, 1, 38


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def refuse_syncs() -> None:
    """From now on, in every thread of this process. Raises: OSError, where the system does not do this."""
    sync, data_sync, seccomp = CALLS[platform.machine()]
    steps = (
        (_LOAD_NUMBER, 0, 0, 0),
        (_JUMP_IF, 2, 0, sync),
        (_JUMP_IF, 1, 0, data_sync),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL),
    )
    program = _Program(len(steps), b"".join(struct.pack("=HBBI", *each) for each in steps))
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if system.syscall(seccomp, _SET_FILTER, _ALL_THREADS, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def talk(home: Path) -> tuple[str, list[str], list[str]]:
    """One message before syncs are refused, two after; the conversation, how the last two ended, in words
    for a person, and what is shown then.
    """
    return asyncio.run(_talk(home))


async def _talk(home: Path) -> tuple[str, list[str], list[str]]:
    session = await fake_session(home, FakeEngine([" One.", " Two.", " Three."]))
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    refuse_syncs()
    told = [sentence(await failed(session.chats.send(thread, text))) for text in ("b", "c")]
    shown = said(await session.chats.open(thread))
    await session.close()
    return thread, told, shown
