"""A download killed at any moment goes on where it was, and what stands in its place is whole or absent."""

from __future__ import annotations

import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types import DownloadRequest
from engine.weights.download import Policy, download
from engine.weights.pacing import Pause
from tests.engine.hub import Fault, Hub, running

if TYPE_CHECKING:
    from tests.conftest import Sample

SIZE = 3_000_001
BODY = random.Random(4).randbytes(SIZE)
SHA = sha256(BODY).hexdigest()
ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from engine.types import DownloadRequest
from engine.weights.download import Policy, download
from engine.weights.pacing import Pause
from engine.weights.web import http_library
http_library()
sys.stdout.write("ready\\n")
sys.stdout.flush()
url, path, size, sha256 = sys.argv[1:]
request = DownloadRequest(url, path, int(size) or None, sha256 or None)
for _ in download(request, Pause(), Policy(margin=0)):
    pass
"""


def started(request: DownloadRequest) -> subprocess.Popen[str]:
    """The program, which has imported what it needs."""
    arguments = (request.url, request.path, str(request.size or 0), request.sha256 or "")
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    program.stdout.readline()
    return program


def killed_after(seconds: float, request: DownloadRequest) -> bool:
    """Starts the program and kills it, unless it ends before; whether it ended by itself."""
    with started(request) as program:
        try:
            return program.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            program.kill()
            return False


def test_killed_at_any_moment_it_goes_on(tmp_path: Path, sample: Sample) -> None:
    """Each request asks for what is missing, no less: `name.part` is as long as the range's start."""
    chance, rounds = random.Random(5), sample("downloads that are killed", 2, 150)
    kills = 0
    with running(Hub()) as hub:
        hub.throttle = 0.01
        for number in range(rounds):
            known = {"size": SIZE, "sha256": SHA} if number % 2 else {}
            request = DownloadRequest(hub.add("/m.pth", BODY), str(tmp_path / f"{number}.pth"), **known)  # pyright: ignore[reportArgumentType]
            part, done, patience = Path(f"{request.path}.part"), False, 0.3
            while not done:
                have, hub.log[:] = (part.stat().st_size if part.exists() else 0), []
                done, patience = killed_after(patience * chance.random(), request), patience * 1.3
                kills += not done
                for each in hub.log:
                    start = int(each.headers.get("Range", "bytes=0-")[6:-1])
                    assert start == have or each.headers.get("If-Range") or not have
                assert done or not Path(request.path).exists() or Path(request.path).read_bytes() == BODY
                if not done and Path(request.path).exists():
                    break  # killed between the renaming and the end of the program
            assert Path(request.path).read_bytes() == BODY
            assert part.exists() is False
    assert kills
    print(f"\n{rounds} downloads, {kills} kills")


def plan(chance: random.Random) -> list[Fault]:
    """Faults of every kind that another attempt gets over."""
    kinds = (
        lambda: Fault(drop=chance.randrange(SIZE)),
        lambda: Fault(drop=chance.randrange(100_000), ignore_range=True),
        lambda: Fault(ignore_range=True, drop=chance.randrange(SIZE)),
        lambda: Fault(chunked=True, drop=chance.randrange(SIZE)),
        lambda: Fault(status=chance.choice((429, 500, 502, 503, 504))),
        lambda: Fault(content_range="bytes 0-1/2"),
        lambda: Fault(stall=chance.randrange(200_000)),
    )
    return [chance.choice(kinds)() for _ in range(chance.randrange(1, 7))]


def test_any_plan_of_faults_ends_with_the_right_file(tmp_path: Path, sample: Sample) -> None:
    """And each request asks for exactly what is missing."""
    policy = Policy(read_seconds=0.15, attempts=20, first_wait=0.001, longest_wait=0.002, margin=0)
    with running(Hub()) as hub:
        for seed in range(sample("random plans of faults", 12, 1500)):
            known = {"size": SIZE, "sha256": SHA} if seed % 2 else {}
            path = tmp_path / f"{seed}.pth"
            faults, hub.log[:] = plan(random.Random(seed)), []
            request = DownloadRequest(hub.add("/m.pth", BODY, *faults), str(path), **known)  # pyright: ignore[reportArgumentType]
            have = [event.done for event in download(request, Pause(), policy)]
            assert path.read_bytes() == BODY, faults
            assert have == sorted(have), faults  # nothing that came was given up
            for each in hub.log:
                start = int(each.headers.get("Range", "bytes=0-")[6:-1])
                assert start in {0, *have}, faults
            path.unlink()


def test_a_kill_leaves_no_lock_behind(tmp_path: Path) -> None:
    with running(Hub()) as hub:
        hub.add("/m.pth", BODY, Fault(stall=100_000))
        request = DownloadRequest(hub.url("/m.pth"), str(tmp_path / "m.pth"), SIZE, SHA)
        with started(request) as program:
            assert hub.stalling.wait(60)
            program.kill()
        assert list(download(request, Pause(), Policy(margin=0)))
    assert {each.name for each in tmp_path.iterdir()} == {"m.pth"}
