"""Asks for a file over https: follows redirects under our own rules, and hears what the hub says of the file.

The client is the one that `huggingface_hub` brings along (httpx, under whatever name its version has it). Its
own calls are not used for what goes over the wire, since they do not do what is promised here: no request but
to https or to this machine, a token to no origin but the asked one, no cookies, no telemetry in the user
agent, a limit on every wait.
"""

from __future__ import annotations

import re
import socket
import ssl
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from engine.errors import RedirectRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.weights.pacing import Pause

USER_AGENT = "rwkv-chat"
HOPS = 8
REDIRECTS = {301, 302, 303, 307, 308}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Word:
    """What the asked host says of a file before it sends it, or sends one elsewhere for it.

    Attributes:
        host: who says it.  sha256: of files that the hub keeps as LFS objects, else None.
    """

    host: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back in the end.

    Attributes:
        redirected: by another address than the asked one.
        etag: a strong validator of what is sent, "" if there is none.
        chunks: the body's bytes; may be cut short by the transport's errors.
    """

    status: int
    headers: Mapping[str, str]
    word: Word
    redirected: bool
    etag: str
    chunks: Iterator[bytes]


class Web:
    """A client for one download or one question. Use it as a context manager.

    Attributes:
        library: the module with the transport's exceptions.
    """

    def __init__(self, connect_seconds: float, read_seconds: float) -> None:
        self.library = http_library()
        timeout = self.library.Timeout(read_seconds, connect=connect_seconds)
        direct = {f"all://{host}": None for host in ("localhost", "127.0.0.1")}  # never through a proxy
        self._client = self.library.Client(timeout=timeout, follow_redirects=False, mounts=direct)

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str], pause: Pause, token: str | None = None
    ) -> Iterator[Answer]:
        """The answer to GET after all redirects; its body is read while this is entered.

        Raises:
            RedirectRefused.
            library.HTTPError: the connection could not be had, or broke.
        """
        asked, word = check_address(url, url), None
        for hop in range(HOPS):
            response = self._send("GET", url, self._headers(asked, url, headers, token))
            try:
                word = word or word_of(urlsplit(url).netloc, response.headers)
                if response.status_code not in REDIRECTS or "location" not in response.headers:
                    with pause.waking(lambda r=response: _break_off(r)):
                        yield _answer(response, word, redirected=hop > 0)
                    return
                target = _joined(url, response.headers["location"])
            finally:
                response.close()
            check_address(target, url, asked)
            url = target
        raise RedirectRefused(without_query(urlunsplit(asked)), without_query(url))

    def ask(self, url: str) -> Word:
        """What the host says of a file; redirects are not followed.  Raises: library.HTTPError."""
        asked = check_address(url, url)
        response = self._send("HEAD", url, self._headers(asked, url, {}, None))
        response.close()
        return word_of(asked.netloc, response.headers)

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> Any:
        self._client.cookies.clear()
        try:
            request = self._client.build_request(method, url, headers=headers)
        except self.library.InvalidURL as error:
            raise RedirectRefused(without_query(url), without_query(url)) from error
        return self._client.send(request, stream=True)

    @staticmethod
    def _headers(
        asked: SplitResult, url: str, headers: Mapping[str, str], token: str | None
    ) -> dict[str, str]:
        common = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        here = urlsplit(url)
        same_origin = (here.scheme, here.netloc) == (asked.scheme, asked.netloc)
        mine = {"Authorization": f"Bearer {token}"} if token and same_origin else {}
        return {**common, **headers, **mine}


def http_library() -> Any:
    """The HTTP client's module; importing it here keeps it out of every start."""
    from huggingface_hub.utils import get_session

    return sys.modules[type(get_session()).__module__.partition(".")[0]]


def check_address(target: str, source: str, asked: SplitResult | None = None) -> SplitResult:
    """The parts of an address that may be asked: https, or plain http to this machine; no user in it.

    Args:
        source: what led there, for the error.  asked: the first address, where `target` comes from a
            redirect: https never leads to plain http.

    Raises:
        RedirectRefused.
    """
    with suppress(ValueError):
        parts = urlsplit(target)
        local = parts.scheme == "http" and parts.hostname in LOOPBACK
        if asked is not None:
            local = local and asked.scheme == "http"
        if (parts.scheme == "https" or local) and parts.hostname and parts.username is None:
            return parts
    raise RedirectRefused(without_query(source), without_query(target))


def _joined(url: str, location: str) -> str:
    """Where a redirect leads; what cannot be read as an address is left as it is, to be refused."""
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def without_query(url: str) -> str:
    """An address without what may be a secret: signatures stand in the query, passwords before the host."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return "?"


def word_of(host: str, headers: Mapping[str, str]) -> Word:
    """What a host's headers say: the hub names size and SHA-256 of what it redirects to."""
    sha256 = headers.get("x-linked-etag", "").strip('"').lower()
    return Word(host, number(headers.get("x-linked-size")), sha256 if is_sha256(sha256) else None)


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 as it is written here."""
    return _SHA256.fullmatch(text) is not None


def number(text: str | None) -> int | None:
    """A header's number, None if it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def _answer(response: Any, word: Word, *, redirected: bool) -> Answer:
    etag = response.headers.get("etag", "")
    strong = etag if etag.startswith('"') and etag.endswith('"') and len(etag) > 2 else ""
    return Answer(response.status_code, response.headers, word, redirected, strong, response.iter_raw())


def _break_off(response: Any) -> None:
    """Ends a wait for bytes in another thread: the connection's own `shutdown` is safe to call from here."""
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("socket") if stream else None
    if isinstance(found, socket.socket):
        with suppress(OSError):
            socket.socket.shutdown(found, socket.SHUT_RDWR)


def is_untrusted(error: BaseException | None) -> bool:
    """Whether an error comes from a certificate that is not trusted, or TLS that cannot be agreed on."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
