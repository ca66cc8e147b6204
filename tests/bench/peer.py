"""A contender in a process of its own: asked for work by lines of JSON, and answering with lines of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Peer:
    """A process that has loaded its model when this returns.

    Args:
        arguments: of the module's command line.  quiet: what it writes to its standard error is thrown away.

    Attributes:
        ready: its first answer.

    Raises:
        RuntimeError: it ended in place of an answer; also from `ask`.
    """

    def __init__(self, name: str, *arguments: str, module: str, quiet: bool = True) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
        )
        self.ready = self._read()

    def ask(self, **asked: object) -> Any:
        assert self._process.stdin
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
