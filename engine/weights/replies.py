"""What a server's answer to a range request means: go on, try again, or give up."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from engine.errors import AccessRefused, DownloadFailed, FileGone
from engine.weights.web import number

if TYPE_CHECKING:
    from engine.weights.web import Answer

OK, PARTIAL, UNSATISFIABLE = 200, 206, 416
GONE = {404, 410}
REFUSED = {401, 403}
BUSY = {429, 503}
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


@dataclass(eq=False)
class Again(Exception):  # an outcome of ours, never seen outside
    """This attempt failed; another may not.

    Attributes:
        hint: of `DownloadFailed`.
        after: seconds that the server asks to wait.
    """

    hint: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Which bytes of a file an answer brings.

    Attributes:
        total: of the whole file, 0 if it was not told.
        delimited: the end of the body is marked, so that a dropped line does not look like it.
    """

    start: int
    total: int
    delimited: bool


def check_status(url: str, answer: Answer, have: int) -> None:
    """Returns if a body may be read.

    Raises:
        FileGone, AccessRefused, DownloadFailed: for good.  Again.
    """
    status = answer.status
    if status in GONE:
        raise FileGone(url)
    if status in REFUSED and not answer.redirected:
        raise AccessRefused(url, status)
    if status in BUSY:
        raise Again("busy", retry_after(answer.headers.get("retry-after", "")))
    if status == 408 or status >= 500 or status in REFUSED:  # the address redirected to may have expired
        raise Again("server")
    encoded = answer.headers.get("content-encoding", "identity") != "identity"
    page = answer.headers.get("content-type", "").startswith("text/html")  # a portal's, in place of the file
    if status not in {OK, PARTIAL} or encoded or page:
        raise DownloadFailed(url, have, 0, "nonsense")


def span_of(answer: Answer) -> Span:
    """Raises: Again, where the headers make no sense."""
    length = number(answer.headers.get("content-length"))
    chunked = answer.headers.get("transfer-encoding", "").lower() == "chunked"
    if answer.status == OK:
        return Span(0, length or 0, chunked or length is not None)
    found = _RANGE.fullmatch(answer.headers.get("content-range", ""))
    if not found:
        raise Again("nonsense")
    start, last, total = int(found[1]), int(found[2]), int(found[3]) if found[3] != "*" else 0
    if start > last or (total and last >= total) or length not in {None, last - start + 1}:
        raise Again("nonsense")
    return Span(start, total, delimited=bool(total))


def whole_length(answer: Answer) -> int | None:
    """The file's size, as an answer to an unsatisfiable range tells it."""
    return number(answer.headers.get("content-range", "").removeprefix("bytes */"))


def retry_after(header: str) -> float | None:
    """Seconds to wait, from a number of them or a date; None if the header is neither."""
    seconds = number(header.strip())
    if seconds is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
