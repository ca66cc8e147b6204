"""A download ends with the right file or none, whatever the server and the line do, and fetches no byte twice
without need. `-s` prints the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from engine import errors
from engine.types import Downloaded
from engine.weights.partial import kept
from tests.engine.downloads import BODY, BUFFERS, QUICK, SHA, SIZE, STALLED, asked, fetch, left, status
from tests.engine.hub import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.types import DownloadRequest
    from tests.engine.hub import Hub


@dataclass
class Case:
    """A row of the table.

    Attributes:
        faults: of the requests, in order.  known: whether size and SHA-256 are known beforehand.
        ends: None for the right file, or the error.  wasted: bytes that need to come twice.
        requests: how many there may be.  hint: of the error.  keeps: what came stays for the next time.
        unread: a body was begun that nobody wants, and the line closed.
    """

    what: str
    faults: list[Fault]
    ends: type[Exception] | None = None
    known: bool = True
    wasted: int = 0
    requests: int | None = None
    hint: str = ""
    keeps: bool = False
    unread: bool = False


CASES = [
    Case("nothing", [], requests=1),
    Case("nothing, size and hash unknown", [], known=False, requests=1),
    Case("nothing, no length told (chunks)", [Fault(chunked=True)], known=False, requests=1),
    Case("dropped before the first byte", [Fault(drop=0)], requests=2),
    Case("dropped at the first byte", [Fault(drop=1)], requests=2),
    Case("dropped in the middle", [Fault(drop=500_000)], requests=2),
    Case("dropped at the last byte", [Fault(drop=SIZE - 1)], requests=2),
    Case("dropped six times", [Fault(drop=n) for n in (300_000, 7, 1, 300_000, 0, 99)], requests=7),
    Case("dropped, hash unknown, validator kept", [Fault(drop=400_000)], known=False, requests=2),
    Case(
        "dropped, hash unknown, no validator",
        [Fault(drop=400_000, no_etag=True), Fault(no_etag=True)],
        known=False,
        wasted=400_000,
    ),
    Case("dropped in chunks", [Fault(chunked=True, drop=400_000)], requests=2),
    Case("dropped for ever", [Fault(drop=0)] * 9, errors.DownloadFailed, requests=4, hint="dropped"),
    Case(
        "dropped for ever after a while",
        [Fault(drop=400_000)] + [Fault(drop=0)] * 9,
        errors.DownloadFailed,
        hint="dropped",
        keeps=True,
    ),
    Case("stalls in the middle", [Fault(stall=500_000)], requests=2),
    Case("stalls before the first byte", [Fault(stall=0)], requests=2),
    Case("stalls for ever", [Fault(stall=0)] * 9, errors.DownloadFailed, hint="stalled"),
    Case("ignores ranges after a drop", [Fault(drop=500_000), Fault(ignore_range=True)], wasted=500_000),
    Case(
        "ignores ranges, drops before what is missing",
        [Fault(drop=500_000), Fault(ignore_range=True, drop=300_000), Fault()],
        wasted=300_000,
    ),
    Case(
        "ignores ranges, hash unknown, same validator",
        [Fault(drop=500_000), Fault(ignore_range=True)],
        known=False,
        wasted=500_000,
    ),
    Case(
        "wrong Content-Range start",
        [Fault(drop=500_000), Fault(content_range=f"bytes 7-{SIZE - 1}/{SIZE}")],
        unread=True,
    ),
    Case(
        "Content-Range that is none",
        [Fault(drop=500_000), Fault(content_range="bytes what")],
        unread=True,
    ),
    Case(
        "Content-Range of another size",
        [Fault(drop=500_000), Fault(content_range=f"bytes 500000-{SIZE - 1}/{SIZE + 5}", lie=0)],
        errors.DownloadMismatch,
        hint="size",
        keeps=True,
    ),
    Case("one wrong byte", [Fault(flip=123_456)], errors.DownloadMismatch, requests=1, hint="sha256"),
    Case(
        "one wrong byte in the part that was kept",
        [Fault(flip=1, drop=500_000)],
        errors.DownloadMismatch,
        requests=2,
        hint="sha256",
    ),
    Case("more bytes than it said", [Fault(tail=b"more")], requests=1),
    Case(
        "more bytes than were asked for (chunks)",
        [Fault(chunked=True, tail=b"more")],
        errors.DownloadMismatch,
        requests=1,
        hint="size",
    ),
    Case("a longer file than known", [Fault(lie=5)], errors.DownloadMismatch, requests=1, hint="size"),
    Case("a shorter file than known", [Fault(lie=-5)], errors.DownloadMismatch, requests=1, hint="size"),
    Case("fewer bytes than it said", [Fault(lie=5)], known=False, requests=2),
    Case(
        "no end marked, nothing known",
        [Fault(bare=True)],
        errors.DownloadFailed,
        known=False,
        requests=1,
        hint="nonsense",
    ),
    Case("no end marked, hash known", [Fault(bare=True)], requests=1),
    Case("404", [status(404)], errors.FileGone, requests=1),
    Case("410", [status(410)], errors.FileGone, requests=1),
    Case("401", [status(401)], errors.AccessRefused, requests=1),
    Case("403", [status(403)], errors.AccessRefused, requests=1),
    Case("429, then well", [status(429)], requests=2),
    Case("429 with Retry-After", [status(429, Retry_After="0")], requests=2),
    Case(
        "503 with a long Retry-After",
        [status(503, Retry_After="3600")],
        errors.DownloadFailed,
        requests=1,
        hint="busy",
    ),
    Case("503 for ever", [status(503)] * 9, errors.DownloadFailed, requests=4, hint="busy"),
    Case("500, 502, 504, then well", [status(500), status(502), status(504)], requests=4),
    Case("418", [status(418)], errors.DownloadFailed, requests=1, hint="nonsense"),
    Case(
        "a web page in its place",
        [Fault(headers={"Content-Type": "text/html"})],
        errors.DownloadFailed,
        hint="nonsense",
    ),
    Case(
        "packed though not asked",
        [Fault(headers={"Content-Encoding": "gzip"})],
        errors.DownloadFailed,
        hint="nonsense",
    ),
]

ROWS: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    yield
    print("\n" + "\n".join(ROWS))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_right_or_absent(case: Case, hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY, *case.faults)
    known = {} if case.known else {"size": None, "sha256": None}
    outcome = ended(asked(tmp_path, url, **known), case)
    path = tmp_path / "models" / "model.pth"
    received = kept(path)[0] if case.ends else SIZE
    if case.ends is None:
        assert path.read_bytes() == BODY
        assert left(tmp_path) == {"model.pth"}
        needed = SIZE + case.wasted + sum(len(fault.tail) for fault in case.faults)
        assert needed <= hub.sent <= needed + case.unread * BUFFERS
    else:
        assert not path.exists()
        assert (received > 0) == case.keeps
    if case.requests:
        assert len(hub.log) == case.requests
    ROWS.append(f"{case.what:48} {len(hub.log):2} requests {hub.sent:9,} of {SIZE:,} bytes  {outcome}")


def ended(request: DownloadRequest, case: Case) -> str:
    policy = STALLED if any(fault.stall is not None for fault in case.faults) else QUICK
    if case.ends is None:
        done = fetch(request, policy)
        assert done == Downloaded(request.path, SIZE, SHA, "known" if case.known else "mirror")
        return "right"
    with pytest.raises(case.ends) as caught:
        fetch(request, policy)
    assert getattr(caught.value, "hint", "") == case.hint
    return f"{case.ends.__name__} {case.hint}".strip() + (", kept" if case.keeps else "")
