"""What the hub lists, what a cache holds, and who is told what: every request of a pull is written down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from engine import errors
from engine.weights.catalog import LiveFile, read_catalog
from engine.weights.hub import LARGEST_LIST, cached_file, live_files, quiet_hub
from tests.engine.hub import Fault, Hub, listing, running

if TYPE_CHECKING:
    from engine.weights.catalog import Entry

ROOT = Path(__file__).parents[2]
CATALOG = read_catalog(ROOT / "assets" / "models.toml")
REPOSITORY = "BlinkDL/rwkv7-g1"
LIST = f"/api/models/{REPOSITORY}?blobs=true"
FILE = "rwkv7-g1l-0.1b-20261031-ctx8192.pth"
BODY = Random(6).randbytes(300_001)


def ask(hub: Hub, seconds: float = 60.0) -> tuple[LiveFile, ...]:
    return live_files(REPOSITORY, endpoint=hub.url(""), seconds=seconds)


# ------------------------------------------------------------------------------------------------ listing


def test_the_files_of_a_repository_are_listed(hub: Hub) -> None:
    hub.add(LIST, listing({FILE: BODY, "README.md": b"x"}))
    assert ask(hub) == (LiveFile(REPOSITORY, FILE, len(BODY), sha256(BODY).hexdigest()),)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"\xff\xfe",
        b"x" * (LARGEST_LIST + 1),
    ],
    ids=["empty", "cut", "deep", "no text", "huge"],
)
def test_an_answer_that_makes_no_sense_is_a_typed_error(hub: Hub, answer: bytes) -> None:
    hub.add(LIST, answer)
    with pytest.raises(errors.DownloadFailed) as caught:
        ask(hub)
    assert caught.value.hint == "nonsense"


@pytest.mark.parametrize(
    "read",
    [
        [],
        3,
        {},
        {"siblings": 3},
        {"siblings": [3, None, {}, {"rfilename": 3, "size": 3}, {"rfilename": "x.pth"}]},
        {"siblings": [{"rfilename": "x.pth", "size": -1}, {"rfilename": "x.pth", "size": "3"}]},
        {"siblings": [{"rfilename": "x.bin", "size": 3}]},
    ],
)
def test_what_is_not_of_the_expected_form_is_left_out(hub: Hub, read: object) -> None:
    hub.add(LIST, json.dumps(read).encode())
    assert ask(hub) == ()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, errors.FileGone),
        (401, errors.AccessRefused),
        (500, errors.DownloadFailed),
        (429, errors.DownloadFailed),
    ],
)
def test_a_refused_list_is_a_typed_error(hub: Hub, status: int, error: type[Exception]) -> None:
    hub.add(LIST, b"", Fault(status=status))
    with pytest.raises(error):
        ask(hub)


def test_a_list_that_does_not_come_is_not_waited_for_long(hub: Hub) -> None:
    hub.add(LIST, b"x" * 100, Fault(stall=10))
    begun = time.monotonic()
    with pytest.raises(errors.Offline):
        ask(hub, seconds=0.3)
    assert time.monotonic() - begun < 60
    gone = Hub()
    gone.server_close()
    with pytest.raises(errors.Offline):
        ask(gone)


def test_a_list_from_plain_http_elsewhere_is_refused() -> None:
    with pytest.raises(errors.RedirectRefused):
        live_files(REPOSITORY, endpoint="http://hub.example")


# ------------------------------------------------------------------------------------------------ the cache


def cache(folder: Path, entry: Entry, body: bytes, blob: str) -> Path:
    """A Hugging Face cache that holds one file, as the library lays it out; gives the file's place."""
    home = folder / f"models--{entry.repository.replace('/', '--')}"
    snapshot = home / "snapshots" / ("0" * 40)
    for each in (home / "blobs", home / "refs", snapshot):
        each.mkdir(parents=True)
    (home / "refs" / "main").write_text("0" * 40)
    (home / "blobs" / blob).write_bytes(body)
    (snapshot / entry.file).symlink_to(Path("../../blobs") / blob)
    return snapshot / entry.file


def entry_of(body: bytes, *, known: bool) -> Entry:
    from dataclasses import replace

    found = CATALOG.choose("g1d-0.1b")
    return replace(found, size=len(body), exact=True, sha256=sha256(body).hexdigest() if known else None)


@pytest.mark.parametrize("known", [True, False])
def test_a_file_in_the_hubs_cache_is_used_where_it_is(tmp_path: Path, known: bool) -> None:
    entry = entry_of(BODY, known=known)
    place = cache(tmp_path, entry, BODY, sha256(BODY).hexdigest())
    assert cached_file(entry, tmp_path) == place
    assert cached_file(CATALOG.choose("g1k-1.5b"), tmp_path) is None


def test_another_file_in_the_cache_is_not_taken(tmp_path: Path) -> None:
    entry = entry_of(BODY, known=True)
    cache(tmp_path / "a", entry, BODY[:-1], sha256(BODY).hexdigest())  # cut short
    cache(tmp_path / "b", entry, BODY, "0" * 64)  # of another hash
    cache(tmp_path / "c", entry_of(BODY, known=False), BODY, "0" * 40)  # of none
    for name in "abc":
        assert cached_file(entry, tmp_path / name) is None
    assert cached_file(entry_of(BODY, known=False), tmp_path / "c") is None
    assert cached_file(entry, tmp_path / "none") is None


def test_the_hubs_library_is_quiet() -> None:
    from huggingface_hub.utils import build_hf_headers

    constants = quiet_hub().constants
    assert (constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_DISABLE_IMPLICIT_TOKEN) == (True, True)
    assert "torch" not in build_hf_headers()["user-agent"]


# ------------------------------------------------------------------------------------------------ privacy

PULL = """
import sys
asked = []
def hear(event, arguments):
    if event == "socket.connect":
        asked.append(arguments[1][:2])
    elif event == "socket.getaddrinfo":
        asked.append(arguments[:2])
sys.addaudithook(hear)

from dataclasses import replace
from pathlib import Path
from engine.service import Engine
from engine.weights.catalog import read_catalog
from engine.weights.hub import cached_file, live_files

endpoint, folder, token = sys.argv[1], Path(sys.argv[2]), sys.argv[3] or None
live = live_files("BlinkDL/rwkv7-g1", endpoint=endpoint, token=token)
catalog = read_catalog(Path("assets/models.toml")).with_live(live)
entry = catalog.choose("g1l-0.1b")
assert cached_file(entry) is None
engine = Engine(folder / "states", cache=folder / "cache")
request = entry.request(folder, endpoint=endpoint, token=token)
assert request.mirrors == (entry.url(),)  # the hub itself, for its word on the hash: not from a test
engine.download(replace(request, mirrors=())).result()
engine.close()
for address in sorted({f"{host}:{port}" for host, port in asked}):
    sys.stdout.write(address + "\\n")
"""

ALLOWED = {"Host", "Connection", "User-Agent", "Accept", "Accept-Encoding", "Range", "If-Range"}
SECRET, SAVED = "hf_given_for_this", "hf_saved_on_this_machine"


@pytest.mark.parametrize("token", ["", SECRET])
def test_every_request_of_a_pull(hub: Hub, tmp_path: Path, token: str) -> None:
    """Listing, look-up and download: who is asked what, with which headers, and nobody else."""
    with running(Hub("localhost")) as content:
        path = f"/{REPOSITORY}/resolve/main/{FILE}"
        cookie = {"Set-Cookie": "id=7; Path=/; Domain=127.0.0.1"}
        hub.add(LIST, listing({FILE: BODY}), Fault(headers=cookie))
        hub.add(path, BODY, Fault(headers=cookie), Fault(headers=cookie))
        hub.lfs = True
        hub.redirect = lambda asked: content.url("/blob?signature=1") if asked == path else None
        content.add("/blob?signature=1", BODY, Fault(drop=100_000, headers=cookie))
        done = pull(hub, tmp_path, token)
        requests = [(each.method, each.host, each.path, each.headers) for each in [*hub.log, *content.log]]
        for method, host, where, headers in requests:
            print(f"\n{method} {host}{where}", *(f"\n    {name}: {value}" for name, value in headers.items()))
        assert [(each.method, each.path) for each in hub.log] == [("GET", LIST), ("GET", path), ("GET", path)]
        assert [each.path for each in content.log] == ["/blob?signature=1"] * 2
        for _, host, _, headers in requests:
            given = headers.pop("Authorization", None)
            assert given == (f"Bearer {SECRET}" if token and host == hub.netloc else None)
            assert headers.keys() <= ALLOWED
            assert headers["User-Agent"] == "rwkv-chat"
            assert (headers["Accept"], headers["Accept-Encoding"]) == ("*/*", "identity")
            assert SAVED not in repr(headers)
        reached = {line.rpartition(":")[2] for line in done.stdout.splitlines()}
        assert reached == {hub.netloc.rpartition(":")[2], content.netloc.rpartition(":")[2]}
        assert {line.rpartition(":")[0] for line in done.stdout.splitlines()} <= {
            "127.0.0.1",
            "localhost",
            "::1",
        }
        assert (tmp_path / FILE).read_bytes() == BODY


def pull(hub: Hub, folder: Path, token: str) -> subprocess.CompletedProcess[str]:
    """A pull in a program of its own, on a machine where a token is saved in every known place."""
    home = folder / "home"
    (home / ".cache" / "huggingface").mkdir(parents=True)
    (home / ".cache" / "huggingface" / "token").write_text(SAVED)
    (home / ".netrc").write_text(f"machine 127.0.0.1 login me password {SAVED}\n")
    (home / ".netrc").chmod(0o600)
    kept_out = {"HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "DISABLE_TELEMETRY", "HF_HOME"}
    known = {name: value for name, value in os.environ.items() if name not in kept_out}
    saved = {
        "HOME": str(home),
        "HF_TOKEN": SAVED,
        "HUGGING_FACE_HUB_TOKEN": SAVED,
        "NETRC": str(home / ".netrc"),
    }
    done = subprocess.run(
        [sys.executable, "-c", PULL, hub.url(""), str(folder), token],
        cwd=ROOT,
        env=known | saved,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done
