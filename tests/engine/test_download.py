"""A download goes on where it stopped, stops when asked, and never writes over what stands in its place."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from engine import errors
from engine.types import Downloaded
from engine.weights.download import download
from engine.weights.pacing import Pause
from engine.weights.partial import discard, kept
from tests.engine.downloads import BODY, OTHER, QUICK, SIZE, asked, fetch, left, status
from tests.engine.hub import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.hub import Hub

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
    fault = Fault(stall=300_000) if where == "stall" else status(503, Retry_After="100")
    patient = replace(QUICK, read_seconds=100, patience=200)
    url, pause = hub.add("/model.pth", BODY, fault), Pause()
    begun, path = time.monotonic(), tmp_path / "models" / "model.pth"

    def set_when_waiting() -> None:
        while not hub.log or (where == "stall" and kept(path)[0] < 300_000):
            time.sleep(0.01)
        time.sleep(0.1)
        pause.set()

    threading.Thread(target=set_when_waiting).start()
    assert fetch(asked(tmp_path, url), patient, pause) is None
    assert time.monotonic() - begun < 60
    assert kept(path)[0] == (300_000 if where == "stall" else 0)


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
