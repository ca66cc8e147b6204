"""The parent's side of a `worker`."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Peer:
    """A process that has loaded its model when this returns."""

    def __init__(self, name: str, kind: str, path: str, form: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.cpu.worker", kind, path, form],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()

    def ask(self, what: str, count: int, threads: int, clock: str) -> list[float]:
        """Seconds; see `worker`."""
        assert self._process.stdin
        asked = {"what": what, "count": count, "threads": threads, "clock": clock}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def closed(peers: list[Peer]) -> Iterator[list[Peer]]:
    """Ends them afterwards."""
    try:
        yield peers
    finally:
        for each in peers:
            each.close()
