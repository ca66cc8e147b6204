"""One download's attempts: what is known of the file so far, and what each answer means for it."""

from __future__ import annotations

import errno
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from engine.errors import (
    AccessRefused,
    DiskFull,
    DownloadFailed,
    DownloadMismatch,
    FileGone,
    FileInTheWay,
    Offline,
    RedirectRefused,
)
from engine.types import Downloaded, Progress
from engine.weights.pacing import Ticks
from engine.weights.partial import Note
from engine.weights.replies import UNSATISFIABLE, Again, check_status, span_of, whole_length
from engine.weights.web import Web, Word, is_untrusted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from engine.types import DownloadRequest
    from engine.weights.download import Policy
    from engine.weights.pacing import Pause
    from engine.weights.partial import Partial
    from engine.weights.replies import Span
    from engine.weights.web import Answer

    Reports = Generator[Progress, None, None]

ENOUGH = 1 << 18  # bytes that make an attempt count as progress
MOST_ANEW = 2  # times that a file may turn out to be another one while it is fetched

# what makes the next address worth trying
ELSEWHERE = (FileGone, AccessRefused, RedirectRefused, Offline, DownloadFailed, DownloadMismatch)


class Fetch:
    """Gets one file into its partial file, and that to its place."""

    def __init__(
        self, request: DownloadRequest, pause: Pause, policy: Policy, web: Web, partial: Partial
    ) -> None:
        self._request, self._pause, self._policy = request, pause, policy
        self._web, self._partial = web, partial
        self._ticks = Ticks()
        self._hub = Word("")  # what the hub says, where it is not the one asked for the bytes
        self._word = Word("")  # what the host says that was asked last
        self._total = 0
        self._moved = False  # bytes came in this job: the network is there
        self._anew = 0  # how often what was here had to be given up

    def run(self) -> Generator[Progress, None, Downloaded | None]:
        """Yields progress; returns what stands at the place in the end, None if paused."""
        yield from self._take_up()
        if not self._whole():
            yield from self._from_any()
        return None if self._pause.is_set() else self._finish()

    # ------------------------------------------------------------------------------------ what is here

    def _take_up(self) -> Reports:
        """Reads what is here once, for its hash; gives it up if it cannot be of this file."""
        partial, wanted = self._partial, self._request
        other = wanted.sha256 and partial.note.sha256 and partial.note.sha256 != wanted.sha256
        if other or not (partial.note.sha256 or partial.note.etag) or 0 < partial.note.size < partial.have:
            partial.clear()
        for done in partial.rebuild():
            if self._pause.is_set():
                return
            if self._ticks.due():
                yield Progress("hash", done, partial.have)

    def _whole(self) -> bool:
        """Everything came before the program was stopped; only the check is missing."""
        self._total = self._request.size or self._partial.note.size
        return bool(self._request.sha256) and 0 < self._total == self._partial.have

    def _finish(self) -> Downloaded:
        found, wanted = self._partial.sha256(), self._expected()
        if wanted and found != wanted:
            self._partial.remove()
            raise DownloadMismatch(self._request.url, "sha256", wanted, found)
        if Path(self._request.path).exists():
            raise FileInTheWay(self._request.path)
        self._partial.finish()
        return Downloaded(self._request.path, self._partial.have, found, self._source())

    def _expected(self) -> str:
        """The SHA-256 that the file must have, "" if nobody said."""
        told = self._request.sha256 or self._hub.sha256 or self._word.sha256
        return told or self._partial.note.sha256

    def _source(self) -> Literal["known", "host", "mirror"]:
        if self._request.sha256:
            return "known"
        teller = self._hub if self._hub.sha256 else self._word
        return "host" if teller.sha256 and teller.host in self._policy.trusted else "mirror"

    # ------------------------------------------------------------------------------------ addresses

    def _from_any(self) -> Reports:
        """From the first address that has it; if none has, the first one's error is raised."""
        self._hub = self._hubs_word()
        failed: Exception | None = None
        for url in (self._request.url, *self._request.mirrors):
            try:
                yield from self._from(url)
                return
            except ELSEWHERE as error:
                failed = failed or error
        if failed:
            raise failed

    def _hubs_word(self) -> Word:
        """The hub's word on a file that is fetched from a mirror, where the hub can be reached."""
        first, *others = (self._request.url, *self._request.mirrors)
        trusted = [url for url in others if urlsplit(url).netloc in self._policy.trusted]
        if self._request.sha256 or urlsplit(first).netloc in self._policy.trusted or not trusted:
            return Word("")
        with Web(self._policy.word_seconds, self._policy.word_seconds) as web:
            try:
                return web.ask(trusted[0])
            except web.library.HTTPError:
                return Word("")

    def _from(self, url: str) -> Reports:
        """Attempts at one address, until the file is here or the job is paused."""
        failures = 0
        while not self._pause.is_set():
            before = self._partial.have
            try:
                with self._mapped(url):
                    yield from self._attempt(url)
                return
            except Again as again:
                if again.hint == "dropped" and 0 < self._total == self._partial.have:
                    return  # cut after the last byte
                failures = 1 if self._partial.have - before >= ENOUGH else failures + 1
                wait = self._wait(again, failures)
                if failures >= self._policy.attempts or wait > self._policy.patience:
                    raise DownloadFailed(url, self._partial.have, self._total, again.hint) from again
                self._pause.wait(wait)

    def _wait(self, again: Again, failures: int) -> float:
        """Seconds before the next attempt."""
        if again.after is not None:
            return again.after
        return min(self._policy.first_wait * 2 ** (failures - 1), self._policy.longest_wait)

    @contextmanager
    def _mapped(self, url: str) -> Iterator[None]:
        """Errors of the transport and of the disk, as ours."""
        library = self._web.library
        try:
            yield
        except library.HTTPError as error:
            if self._pause.is_set():
                return
            if is_untrusted(error):
                raise DownloadFailed(url, self._partial.have, self._total, "insecure") from error
            unreachable = library.ConnectError, library.ConnectTimeout, library.ProxyError
            if isinstance(error, unreachable) and not self._moved:
                raise Offline(urlsplit(url).hostname or "") from error
            stalled = isinstance(error, library.TimeoutException)
            raise Again("stalled" if stalled else "dropped") from error
        except UnicodeError as error:  # from the look-up of a name that can be none
            raise Offline(urlsplit(url).hostname or "") from error
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise self._no_room() from error
            raise

    # ------------------------------------------------------------------------------------ one attempt

    def _attempt(self, url: str) -> Reports:
        token = self._request.token if url == self._request.url else None
        with self._web.get(url, self._range(url), self._pause, token) as answer:
            self._word = answer.word
            if answer.status == UNSATISFIABLE and self._is_whole(url, answer):
                return
            check_status(url, answer, self._partial.have)
            span = span_of(answer)
            note = self._note(url, answer, span)
            skip = self._skipped(note, span)
            if self._total and self._total - self._partial.have + self._policy.margin > self._free():
                raise self._no_room()
            self._partial.describe(note)
            yield from self._take(answer, skip)

    def _range(self, url: str) -> dict[str, str]:
        """Headers that ask for what is missing, if it can be told that it is missing of the same file."""
        note, asked = self._partial.note, {"Range": f"bytes={self._partial.have}-"}
        if self._partial.have and note.sha256:
            return asked
        if self._partial.have and note.etag and note.url == url:
            return {**asked, "If-Range": note.etag}
        return {}

    def _is_whole(self, url: str, answer: Answer) -> bool:
        """Nothing is missing: what is here ends where the file does.  Raises: Again, if it does not.

        A range is asked for only of the same file: by `If-Range`, or by SHA-256.
        """
        if whole_length(answer) == self._partial.have and self._partial.note.sha256 in {"", self._expected()}:
            return True
        self._start_anew(url)
        raise Again("changed", after=0)

    def _note(self, url: str, answer: Answer, span: Span) -> Note:
        """What the answer belongs to, held against what is known.  Raises: DownloadMismatch, Again."""
        word = answer.word
        if word.sha256 and word.sha256 != self._expected():
            raise DownloadMismatch(url, "sha256", self._expected(), word.sha256)
        self._total = span.total or word.size or self._request.size or 0
        for said in (self._request.size, word.size):
            if said is not None and said != self._total:
                raise DownloadMismatch(url, "size", str(said), str(self._total))
        if not self._total and not span.delimited and not self._expected():
            # where it ends could not be told from where the line dropped
            raise DownloadFailed(url, self._partial.have, 0, "nonsense")
        return Note(url, answer.etag, self._total, self._expected())

    def _skipped(self, note: Note, span: Span) -> int:
        """How many of the bytes that will come are here already.  Raises: Again."""
        partial = self._partial
        if partial.have and not partial.note.same_file(note):
            self._start_anew(note.url)
            if span.start:
                raise Again("changed", after=0)
        if span.start not in {0, partial.have}:
            raise Again("nonsense")
        return partial.have - span.start

    def _start_anew(self, url: str) -> None:
        """The file is another one than before.  Raises: DownloadFailed, if that does not end."""
        self._partial.clear()
        self._anew += 1
        if self._anew > MOST_ANEW:
            raise DownloadFailed(url, 0, self._total, "changed")

    def _take(self, answer: Answer, skip: int) -> Reports:
        """Writes the body, without the bytes to skip.  Raises: DownloadMismatch, Again."""
        partial = self._partial
        yield Progress("download", partial.have, self._total)
        for chunk in answer.chunks:
            if self._pause.is_set():
                return
            self._moved = True
            new, skip = chunk[skip:], max(0, skip - len(chunk))
            if self._total and partial.have + len(new) > self._total:
                partial.clear()
                raise DownloadMismatch(self._request.url, "size", str(self._total), "more")
            partial.write(new)
            if self._ticks.due():
                yield Progress("download", partial.have, self._total)
        if self._pause.is_set():
            return
        if skip or partial.have < self._total:
            raise Again("dropped")
        yield Progress("download", partial.have, partial.have)

    # ------------------------------------------------------------------------------------ room

    def _free(self) -> int:
        return shutil.disk_usage(Path(self._request.path).parent).free

    def _no_room(self) -> DiskFull:
        needed = max(0, self._total - self._partial.have) + self._policy.margin
        return DiskFull(self._request.path, needed, self._free())
