"""What tests of downloads share: a file, one beside it, a request for it, and short waits between tries."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from engine.types import DownloadRequest, Progress
from engine.weights.download import Policy, download
from engine.weights.pacing import Pause
from tests.engine.hub import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import Downloaded

SIZE = 1_000_003
BODY = random.Random(1).randbytes(SIZE)
OTHER = random.Random(2).randbytes(SIZE)
BUFFERS = 600_000  # bytes that a server may send before it hears that the line is closed
SHA = sha256(BODY).hexdigest()
QUICK = Policy(
    connect_seconds=60,
    read_seconds=60,
    attempts=4,
    first_wait=0.005,
    longest_wait=0.02,
    patience=0.5,
    word_seconds=60,
    margin=0,
    trusted=frozenset(),
)
STALLED = replace(QUICK, read_seconds=1.0, attempts=2)  # a busy hub may be late itself


def fetch(request: DownloadRequest, policy: Policy = QUICK, pause: Pause | None = None) -> Downloaded | None:
    """The whole of a download; its progress is checked on the way."""
    steps = download(request, Pause() if pause is None else pause, policy)
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value
        assert isinstance(event, Progress)
        assert 0 <= event.done <= (event.total or event.done)


def asked(folder: Path, url: str, **more: object) -> DownloadRequest:
    known = {"size": SIZE, "sha256": SHA} | more
    return DownloadRequest(url, str(folder / "models" / "model.pth"), **known)  # pyright: ignore[reportArgumentType]


def left(folder: Path) -> set[str]:
    """The names of what is in the models' folder."""
    return {each.name for each in (folder / "models").glob("*")}


def status(code: int, **headers: str) -> Fault:
    return Fault(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})
