"""The process that tunes: begun in a process session of its own, so that it outlives the window.

It is handed two locks that end with it, however it ends: one says that the run is going on, one that the
device is taken. Which run has a device stands in the device's lock file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from engine.tune.folder import Folder, owner
from rwkv_chat.paths import with_our_modules
from rwkv_chat.session.errors import DeviceTaken, TuneNotStarted, TuneRuns
from rwkv_chat.session.tune_folder import OUTPUT, TAKEN
from rwkv_chat.windows import held, taken

if TYPE_CHECKING:
    from pathlib import Path

# -P: what lies in the folder where the program was begun is not imported
TUNE = (sys.executable, "-P", "-m", "engine.tune")
LONGEST_NOTE = 4_096
TRIES, BETWEEN = 10, 0.02


def device_lock(locks: Path, device: str) -> Path:
    """`cuda` is the first card."""
    name = "cuda-0" if device == "cuda" else device.replace(":", "-")
    return locks / f"device-{name}.lock"


def check(locks: Path, device: str) -> None:
    """Raises: DeviceTaken."""
    place = device_lock(locks, device)
    if held(place):
        raise DeviceTaken(device, holder(place))


def begin(folder: Path, locks: Path, device: str, name: str) -> None:
    """Have the run of a folder go on in a process of its own.

    Raises:
        TuneRuns: it does already.  DeviceTaken: another run has the device.  TuneNotStarted.
    """
    if runs(folder):
        raise TuneRuns(name)
    Folder(folder).stop.unlink(missing_ok=True)
    with ExitStack() as ours:  # our own handles are closed once the child has its own
        handles = [_taken(ours, folder / TAKEN, TuneRuns(name))]
        place = device_lock(locks, device)
        handles.append(_taken(ours, place, DeviceTaken(device, holder(place))))
        _note(handles[1], {"run": folder.name, "name": name})
        try:
            output = ours.enter_context((folder / OUTPUT).open("ab"))
            child = _started(folder, handles, output.fileno())
        except OSError as error:
            raise TuneNotStarted(name, error.strerror or str(error)) from error
    # so that it is no zombie when it has ended
    threading.Thread(target=child.wait, name="tune-ended", daemon=True).start()


def _taken(ours: ExitStack, path: Path, refusal: Exception) -> int:
    """Somebody who only looks has the lock for a moment."""
    for _ in range(TRIES):
        if (handle := taken(path)) is not None:
            ours.callback(os.close, handle)
            return handle
        time.sleep(BETWEEN)
    raise refusal


def _started(folder: Path, handles: list[int], output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  our own module, on a folder that we wrote
        [*TUNE, str(folder)],
        env=with_our_modules(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=() if os.name == "nt" else handles,
    )


def _note(handle: int, value: dict[str, str]) -> None:
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, json.dumps(value).encode())


def holder(place: Path) -> str:
    """The name of the run that has a device, "" where it is not known."""
    try:
        with place.open("rb") as file:
            return str(json.loads(file.read(LONGEST_NOTE))["name"])[:200]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def runs(folder: Path) -> bool:
    """Whether a process is at the run: one that was begun here, or one that somebody began by hand."""
    return held(folder / TAKEN) or owner(folder) is not None
