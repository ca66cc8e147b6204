"""A hub on this machine that does what real servers and lines do: it drops, stalls, lies and forgets.

Each request to a file takes the next fault of its plan; when none is left it behaves. Every request is
logged, with the bytes of body that were sent for it, so that tests can count what was fetched.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PIECE = 1 << 16


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        status, headers: answered in place of the file.  drop: bytes of body after which the line is cut.
        stall: bytes after which nothing comes.  flip: the byte at this place of the file is wrong.
        ignore_range: 200 and everything, whatever was asked.  content_range: told in place of the right one.
        lie: bytes added to the length told; more or fewer bytes than that are sent.  chunked: no length told.
        bare: neither length nor chunks: the end of the line is the end of the file.
        before: called before anything is answered (to change the file, say).
        no_etag: no validator is told.  tail: bytes sent after the file's end.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    drop: int | None = None
    stall: int | None = None
    flip: int | None = None
    ignore_range: bool = False
    content_range: str = ""
    lie: int = 0
    chunked: bool = False
    bare: bool = False
    before: Callable[[], None] | None = None
    no_etag: bool = False
    tail: bytes = b""


@dataclass
class Logged:
    """A request, as it came, and the bytes of body that went out for it."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    status: int = 0
    start: int = 0
    sent: int = 0


class Hub(ThreadingHTTPServer):
    """Serves `files` (path → bytes) on a port of its own.

    Attributes:
        plan: faults by path, taken in order; the path "*" serves any.
        log: every request.  lfs: whether size and SHA-256 of files are told (`X-Linked-…`).
        redirect: a function from a path to the address to redirect to, None to serve.
        throttle: seconds between pieces.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, name: str = "127.0.0.1", certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.plan: dict[str, list[Fault]] = {}
        self.log: list[Logged] = []
        self.lfs = False
        self.throttle = 0.0
        self.redirect: Callable[[str], str | None] = lambda path: None
        self.stalling = threading.Event()
        self.ended = threading.Event()
        self.netloc = f"{name}:{self.server_address[1]}"
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.netloc}{path}"

    def add(self, path: str, content: bytes, *faults: Fault) -> str:
        """Puts a file there, and what goes wrong with it; gives its address."""
        self.files[path] = content
        self.plan[path] = list(faults)
        return self.url(path)

    def fault(self, path: str) -> Fault:
        """The next fault of a path's plan."""
        plan = self.plan.get(path) or self.plan.get("*") or []
        return plan.pop(0) if plan else Fault()

    @property
    def sent(self) -> int:
        """Bytes of body of all requests."""
        return sum(each.sent for each in self.log)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line that breaks is what tests do to it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Nothing: the log is `Hub.log`."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub, path = self.server, unquote(self.path)
        logged = Logged(self.command, self.headers.get("Host", ""), self.path, dict(self.headers))
        hub.log.append(logged)
        fault = hub.fault(path)
        if fault.before:
            fault.before()
        target = hub.redirect(path)
        content = hub.files.get(path)
        told = self._linked(content) if hub.lfs and content is not None else {}
        if fault.status or target or content is None:
            status = fault.status or (302 if target else 404)
            headers = {**told, **fault.headers, **({"Location": target} if target else {})}
            logged.status = status
            self._head(status, {"Content-Length": "0", **headers})
            return
        self._send_file(logged, content, fault, told, body=body)

    @staticmethod
    def _linked(content: bytes) -> dict[str, str]:
        return {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{sha256(content).hexdigest()}"'}

    def _send_file(
        self, logged: Logged, content: bytes, fault: Fault, told: dict[str, str], *, body: bool
    ) -> None:
        etag = f'"{sha256(content).hexdigest()[:16]}"'
        start = self._start(content, etag, fault)
        if start is None:
            logged.status = 416
            self._head(416, {**told, "Content-Length": "0", "Content-Range": f"bytes */{len(content)}"})
            return
        whole = not start and "Range" not in self.headers
        logged.status, logged.start = 200 if whole or fault.ignore_range else 206, start
        headers = {"Content-Type": "application/octet-stream", **told, **fault.headers}
        if not fault.no_etag:
            headers["ETag"] = etag
        if logged.status == 206:
            headers["Content-Range"] = (
                fault.content_range or f"bytes {start}-{len(content) - 1}/{len(content)}"
            )
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif not fault.bare:
            headers["Content-Length"] = str(len(content) - start + fault.lie)
        self._head(logged.status, headers)
        if body:
            self._send_body(logged, content, start, fault)

    def _start(self, content: bytes, etag: str, fault: Fault) -> int | None:
        """The first byte to send; None where the range cannot be had."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not asked or fault.ignore_range or (condition and condition != etag):
            if "Range" in self.headers and not fault.ignore_range:
                del self.headers["Range"]  # the file is another one now: all of it
            return 0
        return int(asked[1]) if int(asked[1]) < len(content) else None

    def _send_body(self, logged: Logged, content: bytes, start: int, fault: Fault) -> None:
        rest = content[start:] + fault.tail
        if fault.flip is not None and start <= fault.flip < len(content):
            at = fault.flip - start
            rest = rest[:at] + bytes([rest[at] ^ 1]) + rest[at + 1 :]
        end = min((each for each in (fault.drop, fault.stall) if each is not None), default=len(rest))
        for begin in range(0, min(end, len(rest)), PIECE):
            piece = rest[begin : min(begin + PIECE, end)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if fault.chunked else piece)
            logged.sent += len(piece)
            if self.server.throttle:
                self.server.ended.wait(self.server.throttle)
        if fault.stall is not None:
            self.wfile.flush()
            self.server.stalling.set()
            self.server.ended.wait(300)
        if fault.drop is not None or fault.stall is not None or fault.bare or fault.lie:
            self._cut()
        elif fault.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _cut(self) -> None:
        """Ends the line; what was sent still arrives."""
        self.close_connection = True
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """The hub on a thread of its own."""
    thread = threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.ended.set()
        hub.shutdown()
        hub.server_close()
        thread.join()


def listing(files: dict[str, bytes]) -> bytes:
    """A model repository's description, as the hub's API gives it with `blobs=true`."""
    siblings = [
        {
            "rfilename": name,
            "size": len(each),
            "blobId": "0" * 40,
            "lfs": {"sha256": sha256(each).hexdigest()},
        }
        for name, each in files.items()
    ]
    return json.dumps({"id": "BlinkDL/rwkv7-g1", "siblings": siblings}).encode()
