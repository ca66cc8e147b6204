"""A download ends with the right file or none, whatever the server and the line do, and fetches no byte twice
without need. `-s` prints the table of faults."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from engine import errors
from engine.types import Downloaded, DownloadRequest, Progress
from engine.weights.download import Policy, download
from engine.weights.pacing import Pause
from engine.weights.partial import discard, kept
from tests.engine.hub import Fault, Hub, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 1_000_003
BODY = random.Random(1).randbytes(SIZE)
OTHER = random.Random(2).randbytes(SIZE)
BUFFERS = 600_000  # bytes that a server may send before it hears that the line is closed
SHA = sha256(BODY).hexdigest()
QUICK = Policy(
    connect_seconds=2,
    read_seconds=5,
    attempts=4,
    first_wait=0.005,
    longest_wait=0.02,
    patience=0.5,
    word_seconds=0.5,
    margin=0,
    trusted=frozenset(),
)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub()) as here:
        yield here


@pytest.fixture
def other() -> Iterator[Hub]:
    with running(Hub("localhost")) as there:
        yield there


def fetch(request: DownloadRequest, policy: Policy = QUICK, pause: Pause | None = None) -> Downloaded | None:
    """The whole of a download; its progress is checked on the way."""
    steps, before = download(request, Pause() if pause is None else pause, policy), 0
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value
        assert isinstance(event, Progress)
        assert 0 <= event.done <= (event.total or event.done)
        if event.task == "hash":
            continue
        before = event.done
        assert before >= 0


def asked(folder: Path, url: str, **more: object) -> DownloadRequest:
    known = {"size": SIZE, "sha256": SHA} | more
    return DownloadRequest(url, str(folder / "models" / "model.pth"), **known)  # pyright: ignore[reportArgumentType]


def left(folder: Path) -> set[str]:
    """The names of what is in the models' folder."""
    return {each.name for each in (folder / "models").glob("*")}


# ------------------------------------------------------------------------------------------------ the table


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


STALLED = replace(QUICK, read_seconds=0.4)


def status(code: int, **headers: str) -> Fault:
    return Fault(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})


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


# ------------------------------------------------------------------------------------------------ going on


def test_a_later_request_goes_on_where_the_last_one_stopped(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY, Fault(drop=600_000), *[Fault(drop=0)] * 3)
    with pytest.raises(errors.DownloadFailed) as caught:
        fetch(asked(tmp_path, url))
    assert (caught.value.done, caught.value.total) == (600_000, SIZE)
    assert kept(tmp_path / "models" / "model.pth") == (600_000, SIZE)
    assert fetch(asked(tmp_path, url))
    assert hub.log[-1].headers["Range"] == "bytes=600000-"
    assert hub.sent == SIZE


def test_a_whole_partial_file_is_only_checked(hub: Hub, tmp_path: Path) -> None:
    """The program was stopped between the last byte and the renaming."""
    url = hub.add("/model.pth", BODY, Fault(drop=600_000), *[Fault(drop=0)] * 3)
    with pytest.raises(errors.DownloadFailed):
        fetch(asked(tmp_path, url))
    with (tmp_path / "models" / "model.pth.part").open("ab") as part:
        part.write(BODY[600_000:])
    hub.log.clear()
    assert fetch(asked(tmp_path, url))
    assert hub.log == []


def test_a_whole_partial_file_of_unknown_hash_is_asked_about(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY, Fault(drop=600_000), *[Fault(drop=0)] * 3)
    hub.lfs = True
    nothing = asked(tmp_path, url, size=None, sha256=None)
    with pytest.raises(errors.DownloadFailed):
        fetch(nothing)
    with (tmp_path / "models" / "model.pth.part").open("ab") as part:
        part.write(BODY[600_000:])
    hub.log.clear()
    done = fetch(nothing)
    assert done is not None
    assert (done.source, [each.status for each in hub.log], hub.sent) == ("mirror", [416], 0)


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_changes_between_two_requests(hub: Hub, tmp_path: Path, known: bool) -> None:
    """The new one is fetched from its start; or, if it was known which one is wanted, none."""

    def change() -> None:
        hub.files["/model.pth"] = OTHER

    url = hub.add("/model.pth", BODY, Fault(drop=500_000), Fault(before=change))
    if known:
        hub.lfs = True
        with pytest.raises(errors.DownloadMismatch):
            fetch(asked(tmp_path, url))
        assert hub.log[-1].sent <= SIZE
        return
    done = fetch(asked(tmp_path, url, size=None, sha256=None))
    assert done is not None
    assert (tmp_path / "models" / "model.pth").read_bytes() == OTHER
    assert hub.sent == SIZE + 500_000


def test_a_change_that_the_hub_tells_is_seen(hub: Hub, tmp_path: Path) -> None:
    def change() -> None:
        hub.files["/model.pth"] = OTHER

    hub.lfs = True
    url = hub.add("/model.pth", BODY, Fault(drop=500_000), Fault(before=change))
    done = fetch(
        asked(tmp_path, url, size=None, sha256=None), replace(QUICK, trusted=frozenset({hub.netloc}))
    )
    assert done == Downloaded(str(tmp_path / "models" / "model.pth"), SIZE, sha256(OTHER).hexdigest(), "host")


def test_a_file_that_never_stays_the_same_is_given_up(hub: Hub, tmp_path: Path) -> None:
    versions = iter(range(99))

    def change() -> None:
        hub.files["/model.pth"] = random.Random(next(versions)).randbytes(SIZE)

    url = hub.add("/model.pth", BODY, *[Fault(drop=500_000, before=change)] * 9)
    with pytest.raises(errors.DownloadFailed) as caught:
        fetch(asked(tmp_path, url, size=None, sha256=None))
    assert caught.value.hint == "changed"
    assert len(hub.log) == 4
    assert left(tmp_path) == set()


def test_a_shrunken_file_starts_anew(hub: Hub, tmp_path: Path) -> None:
    def shrink() -> None:
        hub.files["/model.pth"] = BODY[:300_000]

    url = hub.add("/model.pth", BODY, Fault(drop=500_000), Fault(before=shrink))
    done = fetch(asked(tmp_path, url, size=None, sha256=None))
    assert done is not None
    assert done.nbytes == 300_000


def test_the_part_of_another_file_is_given_up(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", OTHER, Fault(drop=500_000), *[Fault(drop=0)] * 3)
    with pytest.raises(errors.DownloadFailed):
        fetch(asked(tmp_path, url, sha256=sha256(OTHER).hexdigest()))
    hub.add("/model.pth", BODY)
    assert fetch(asked(tmp_path, url))
    assert "Range" not in hub.log[-1].headers


@pytest.mark.parametrize(
    "note", ["", "{", "[]", '{"format": 1}', '{"url": 1, "etag": 2, "size": 3, "sha256": 4}']
)
def test_a_part_without_a_readable_note_is_given_up(hub: Hub, tmp_path: Path, note: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pth.part").write_bytes(b"x" * 1000)
    (tmp_path / "models" / "model.pth.part.json").write_text(note)
    assert fetch(asked(tmp_path, hub.add("/model.pth", BODY)))
    assert "Range" not in hub.log[0].headers


def test_what_is_here_can_be_discarded(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY, *[Fault(drop=1000)] + [Fault(drop=0)] * 3)
    with pytest.raises(errors.DownloadFailed):
        fetch(asked(tmp_path, url))
    discard(tmp_path / "models" / "model.pth")
    assert left(tmp_path) == set()
    assert kept(tmp_path / "models" / "model.pth") == (0, 0)
    discard(tmp_path / "models" / "model.pth")


# ------------------------------------------------------------------------------------------------ pausing


def test_a_pause_keeps_what_came(hub: Hub, tmp_path: Path) -> None:
    hub.throttle = 0.01
    url, pause = hub.add("/model.pth", BODY), Pause()
    steps = download(asked(tmp_path, url), pause, QUICK)
    for event in steps:
        if event.done > 200_000:
            pause.set()
    part = tmp_path / "models" / "model.pth.part"
    have = part.stat().st_size
    assert 200_000 < have < SIZE
    assert part.read_bytes() == BODY[:have]
    hub.throttle = 0
    assert fetch(asked(tmp_path, url))
    assert hub.log[-1].headers["Range"] == f"bytes={have}-"
    assert hub.log[-1].sent == SIZE - have


@pytest.mark.parametrize("where", ["stall", "backoff"])
def test_a_pause_does_not_wait_for_the_server(hub: Hub, tmp_path: Path, where: str) -> None:
    fault = Fault(stall=300_000) if where == "stall" else status(503, Retry_After="20")
    patient = replace(QUICK, read_seconds=20, patience=60)
    url, pause = hub.add("/model.pth", BODY, fault), Pause()
    threading.Timer(0.15, pause.set).start()
    begun = time.monotonic()
    assert fetch(asked(tmp_path, url), patient, pause) is None
    assert time.monotonic() - begun < 5
    assert kept(tmp_path / "models" / "model.pth")[0] == (300_000 if where == "stall" else 0)


def test_a_pause_before_the_start_asks_nothing(hub: Hub, tmp_path: Path) -> None:
    pause = Pause()
    pause.set()
    assert fetch(asked(tmp_path, hub.add("/model.pth", BODY)), pause=pause) is None
    assert hub.log == []
    assert left(tmp_path) == set()


# ------------------------------------------------------------------------------------------------ the place


def test_a_file_that_is_there_and_right_is_not_fetched(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pth").write_bytes(BODY)
    done = fetch(asked(tmp_path, hub.add("/model.pth", BODY)))
    assert done is not None
    assert done.source == "known"
    assert hub.log == []


def test_a_file_that_is_there_is_held_against_the_hubs_word(hub: Hub, tmp_path: Path) -> None:
    """It is what was fetched before; nothing but its SHA-256 is asked."""
    url = hub.add("/model.pth", BODY)
    hub.lfs = True
    request = asked(tmp_path, url, size=None, sha256=None)
    trusting = replace(QUICK, trusted=frozenset({hub.netloc}))
    first = fetch(request, trusting)
    hub.log.clear()
    assert fetch(request, trusting) == first
    assert ([each.method for each in hub.log], hub.sent) == (["HEAD"], 0)
    hub.add("/model.pth", OTHER)
    with pytest.raises(errors.FileInTheWay):
        fetch(request, trusting)
    assert (tmp_path / "models" / "model.pth").read_bytes() == BODY


@pytest.mark.parametrize("known", [{}, {"size": None, "sha256": None}])
def test_another_file_in_its_place_is_left_alone(hub: Hub, tmp_path: Path, known: dict) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pth").write_bytes(OTHER)
    with pytest.raises(errors.FileInTheWay):
        fetch(asked(tmp_path, hub.add("/model.pth", BODY), **known))
    assert (tmp_path / "models" / "model.pth").read_bytes() == OTHER
    assert hub.sent == 0


def test_room_is_looked_for_before_a_byte_comes(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY)
    with pytest.raises(errors.DiskFull) as caught:
        fetch(asked(tmp_path, url), replace(QUICK, margin=1 << 60))
    assert caught.value.needed == SIZE + (1 << 60)
    assert 0 < caught.value.free < 1 << 60
    assert left(tmp_path) == set()


def test_a_full_disk_keeps_what_came(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.weights.partial import Partial

    url, real = hub.add("/model.pth", BODY), Partial.write

    def full(self: Partial, chunk: bytes) -> None:
        if self.have > 300_000:
            raise OSError(28, "No space left on device")
        real(self, chunk)

    monkeypatch.setattr(Partial, "write", full)
    with pytest.raises(errors.DiskFull):
        fetch(asked(tmp_path, url))
    monkeypatch.undo()
    assert fetch(asked(tmp_path, url))
    assert int(hub.log[-1].headers["Range"][6:-1]) > 300_000


def test_a_second_program_is_told(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY)
    first = download(asked(tmp_path, url), Pause(), QUICK)
    next(first)
    with pytest.raises(errors.DownloadBusy):
        fetch(asked(tmp_path, url))
    with pytest.raises(errors.DownloadBusy):
        discard(tmp_path / "models" / "model.pth")
    assert list(first)
    assert (tmp_path / "models" / "model.pth").read_bytes() == BODY


def test_the_file_is_readable_by_its_owner_alone(hub: Hub, tmp_path: Path) -> None:
    fetch(asked(tmp_path, hub.add("/model.pth", BODY)))
    assert (tmp_path / "models" / "model.pth").stat().st_mode & 0o777 == 0o600


# ------------------------------------------------------------------------------------------------ elsewhere


def test_a_redirect_is_followed_and_the_word_kept(hub: Hub, other: Hub, tmp_path: Path) -> None:
    """As the real hub does it: it names size and hash, and sends the client elsewhere for the bytes."""
    hub.lfs = True
    url = hub.add("/model.pth", BODY)
    other.add("/blob", BODY, Fault(drop=500_000))
    hub.redirect = lambda path: other.url("/blob?signature=secret")
    other.files["/blob?signature=secret"] = BODY
    other.plan["/blob?signature=secret"] = [Fault(drop=500_000)]
    done = fetch(
        asked(tmp_path, url, size=None, sha256=None), replace(QUICK, trusted=frozenset({hub.netloc}))
    )
    assert done is not None
    assert done.source == "host"
    assert (hub.sent, other.sent) == (0, SIZE)


def test_an_address_that_has_expired_is_asked_for_again(hub: Hub, other: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY)
    hub.redirect = lambda path: other.url("/blob")
    other.add("/blob", BODY, Fault(drop=500_000), status(403))
    assert fetch(asked(tmp_path, url))
    assert (len(hub.log), other.sent) == (3, SIZE)


REDIRECTS: dict[str, str] = {
    "plain http elsewhere": "http://example.invalid/model.pth",
    "another scheme": "ftp://example.invalid/model.pth",
    "a file": "file:///etc/passwd",
    "a user in it": "https://user:password@example.invalid/model.pth",
    "no host": "https:///model.pth",
    "no port that is one": "https://example.invalid:port/model.pth",
    "no host that is one": "https://[::1/model.pth",
    "a host hidden behind a stroke": "https:\\\\example.invalid/model.pth",
}


@pytest.mark.parametrize("what", REDIRECTS)
def test_an_unsafe_redirect_is_refused(hub: Hub, tmp_path: Path, what: str) -> None:
    url = hub.add("/model.pth", BODY)
    hub.redirect = lambda path: REDIRECTS[what]
    with pytest.raises(errors.RedirectRefused) as caught:
        fetch(asked(tmp_path, url))
    assert "password" not in caught.value.target


def test_redirects_that_do_not_end_are_refused(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY)
    hub.redirect = lambda path: hub.url("/model.pth")
    with pytest.raises(errors.RedirectRefused):
        fetch(asked(tmp_path, url))
    assert len(hub.log) == 8


@pytest.mark.parametrize(
    "url", ["http://example.invalid/x", "ftp://localhost/x", "x", "https://a:b@example.invalid/"]
)
def test_an_unsafe_address_is_refused_before_anything_is_asked(tmp_path: Path, url: str) -> None:
    with pytest.raises(errors.RedirectRefused):
        fetch(asked(tmp_path, url))
    with pytest.raises(errors.RedirectRefused):
        fetch(asked(tmp_path, "https://example.invalid/", mirrors=(url,)))
    assert not (tmp_path / "models").exists()


def test_a_mirror_is_tried_where_the_first_has_it_no_more(hub: Hub, other: Hub, tmp_path: Path) -> None:
    hub.add("/model.pth", BODY, Fault(drop=400_000))
    request = asked(tmp_path, other.url("/gone.pth"), mirrors=(hub.url("/model.pth"),))
    done = fetch(request)
    assert done is not None
    assert done.source == "known"
    assert [each.status for each in other.log] == [404]


def test_where_nobody_has_it_the_first_error_is_told(hub: Hub, tmp_path: Path) -> None:
    request = asked(tmp_path, hub.url("/gone.pth"), mirrors=(hub.url("/gone.too"), dead()))
    with pytest.raises(errors.FileGone) as caught:
        fetch(request)
    assert caught.value.url == hub.url("/gone.pth")


def test_a_mirror_goes_on_with_the_part_of_another(hub: Hub, other: Hub, tmp_path: Path) -> None:
    """With a known SHA-256 it does not matter where the bytes come from."""
    url = hub.add("/model.pth", BODY, Fault(drop=700_000), *[status(404)] * 9)
    request = asked(tmp_path, url, mirrors=(other.add("/model.pth", BODY),))
    assert fetch(request)
    assert hub.sent + other.sent == SIZE


def test_a_mirrors_own_word_is_not_the_hubs(hub: Hub, other: Hub, tmp_path: Path) -> None:
    """Only what the hub itself says makes a hash verified; a mirror that lies about it is found out."""
    mirror, official = other, hub
    trusting = replace(QUICK, trusted=frozenset({official.netloc}))
    mirror.lfs = official.lfs = True
    url = mirror.add("/model.pth", BODY)
    request = asked(tmp_path, url, size=None, sha256=None, token="hf_of_the_mirror")  # noqa: S106
    alone = fetch(request, trusting)
    assert alone is not None
    assert alone.source == "mirror"

    told = replace(request, path=request.path + "2", mirrors=(official.add("/model.pth", BODY),))
    asked_too = fetch(told, trusting)
    assert asked_too is not None
    assert asked_too.source == "host"
    assert ([each.method for each in official.log], official.sent) == (["HEAD"], 0)
    assert official.log[0].headers.keys() <= {"Host", "Connection", "User-Agent", "Accept", "Accept-Encoding"}

    mirror.add("/model.pth", OTHER)
    lied = fetch(replace(told, path=request.path + "3"), trusting)
    assert lied is not None
    assert (tmp_path / "models" / "model.pth3").read_bytes() == BODY  # from the hub: the mirror was refused


# ------------------------------------------------------------------------------------------------ no way


def dead() -> str:
    """An address where nobody listens."""
    gone = Hub()
    gone.server_close()
    return gone.url("/model.pth")


def test_offline_is_told_at_once(tmp_path: Path) -> None:
    long = f"{'a' * 70}.invalid"  # no name may be so long
    for url, host in (
        (dead(), "127.0.0.1"),
        ("https://no-such-host.invalid/model.pth", "no-such-host.invalid"),
        (f"https://{long}/model.pth", long),
    ):
        begun = time.monotonic()
        with pytest.raises(errors.Offline) as caught:
            fetch(asked(tmp_path, url), Policy())
        assert caught.value.host == host
        assert time.monotonic() - begun < 3
        assert left(tmp_path) == set()


def test_a_network_that_goes_away_in_the_midst_is_waited_for(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY, Fault(drop=500_000, before=hub.server_close))
    with pytest.raises(errors.DownloadFailed) as caught:
        fetch(asked(tmp_path, url))
    assert (caught.value.hint, caught.value.done) == ("dropped", 500_000)


def test_a_certificate_that_nobody_trusts_is_refused(tmp_path: Path, certificate: Path) -> None:
    with running(Hub("localhost", certificate)) as secure:
        with pytest.raises(errors.DownloadFailed) as caught:
            fetch(asked(tmp_path, secure.add("/model.pth", BODY)))
        assert caught.value.hint == "insecure"
        assert secure.log == []


def test_https_does_not_lead_to_plain_http_even_here(
    hub: Hub, tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with running(Hub("localhost", certificate)) as secure:
        request = asked(tmp_path, secure.add("/model.pth", BODY, Fault(drop=500_000)))
        assert fetch(request)
        assert secure.sent == SIZE
        secure.redirect = lambda path: hub.url("/model.pth")
        with pytest.raises(errors.RedirectRefused):
            fetch(replace(request, path=request.path + "2"))
    assert hub.log == []


@pytest.fixture
def certificate() -> Path:
    """Of a server on this machine, signed by nobody, with its key: good for tests alone."""
    from pathlib import Path

    return Path(__file__).parents[1] / "data" / "loopback.pem"
