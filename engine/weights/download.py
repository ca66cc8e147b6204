"""Fetches one file: resumed where it stopped, checked while written, in its place only when it is right.

`huggingface_hub`'s own downloader is not used for the bytes: it cannot be paused, its Xet backend starts anew
after an interruption (huggingface_hub#3648, #4196), and where it redirects, waits and retries is its own
affair. What is used of it is its HTTP client (`engine.weights.web`) and its cache (`engine.weights.hub`).

How it goes on, whatever happens on the way (`engine.weights.fetch`):

- The partial file keeps what came, and a note of what it is a part of. It goes on only if that is surely the
  same file: by SHA-256, or else by the validator of the same address (`If-Range`); otherwise it starts anew.
- A server that ignores `Range` sends everything again. What is here already is then skipped, not written
  over: if the line drops once more, nothing is lost.
- A dropped or stalled line, a 429, a 5xx: tried again after a pause that doubles (or that the server asks
  for), until `Policy.attempts` in a row have brought next to nothing.
- A wrong checksum at the end: what came is deleted and one error says so. It is not fetched again unasked.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.errors import FileInTheWay
from engine.types import Downloaded, Progress
from engine.weights.fetch import Fetch
from engine.weights.pacing import Ticks
from engine.weights.partial import BLOCK, Partial
from engine.weights.web import Web, Word, check_address

if TYPE_CHECKING:
    from collections.abc import Generator

    from engine.types import DownloadRequest
    from engine.weights.pacing import Pause

    Steps = Generator[Progress, None, Downloaded | None]


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient a download is, and whom it believes.

    Attributes:
        connect_seconds, read_seconds: longest wait for a connection, and for the next bytes.
        attempts: in a row that brought next to nothing, before it gives up.
        first_wait, longest_wait: seconds between attempts; doubled each time.
        patience: the longest wait that a server may ask for.
        word_seconds: longest wait for the hub's word on a file that comes from elsewhere.
        margin: bytes of disk to leave free.
        trusted: hosts whose word on a SHA-256 is taken for the publisher's.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    attempts: int = 8
    first_wait: float = 1.0
    longest_wait: float = 60.0
    patience: float = 300.0
    word_seconds: float = 5.0
    margin: int = 64 << 20
    trusted: frozenset[str] = frozenset({"huggingface.co"})


DEFAULT = Policy()


def download(request: DownloadRequest, pause: Pause, policy: Policy | None = None) -> Steps:
    """Yields Progress("download", bytes, of all bytes or 0), and Progress("hash", …) while what is here
    already is read again; returns None if paused.

    Raises:
        Offline, FileGone, AccessRefused, RedirectRefused, DownloadFailed, DownloadMismatch, DiskFull,
        DownloadBusy, FileInTheWay.
        OSError: the folder cannot be written.
    """
    policy = policy or DEFAULT
    for url in (request.url, *request.mirrors):
        check_address(url, url)
    partial = Partial(Path(request.path))
    with partial.opened():
        if Path(request.path).exists():
            return (yield from _there_already(request, pause, policy))
        with Web(policy.connect_seconds, policy.read_seconds) as web:
            return (yield from Fetch(request, pause, policy, web, partial).run())


def _there_already(request: DownloadRequest, pause: Pause, policy: Policy) -> Steps:
    """A file stands at the place: right if its SHA-256 is, and never written over."""
    path = Path(request.path)
    total, ticks, digest, done = path.stat().st_size, Ticks(), hashlib.sha256(), 0
    word = Word("", request.size, request.sha256) if request.sha256 else _told(request, policy)
    if word.sha256 is None or word.size not in {None, total}:
        raise FileInTheWay(request.path)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if pause.is_set():
                return None
            digest.update(block)
            done += len(block)
            if ticks.due():
                yield Progress("hash", done, total)
    if digest.hexdigest() != word.sha256:
        raise FileInTheWay(request.path)
    hubs = "host" if word.host in policy.trusted else "mirror"
    return Downloaded(request.path, done, word.sha256, "known" if request.sha256 else hubs)


def _told(request: DownloadRequest, policy: Policy) -> Word:
    """What the hub, or else another of the addresses, says of the file; nothing if none can be asked."""
    addresses = sorted((request.url, *request.mirrors), key=lambda url: _host(url) not in policy.trusted)
    with Web(policy.word_seconds, policy.word_seconds) as web:
        for url in addresses:
            with suppress(web.library.HTTPError):
                if (word := web.ask(url)).sha256:
                    return word
    return Word("")


def _host(url: str) -> str:
    return urlsplit(url).netloc
