"""Running one command line inside the test's own process."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest
from click.testing import CliRunner

from rwkv_chat.cli import opening
from rwkv_chat.cli.main import run
from tests.fakes import FakeEngine, fake_session

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.paths import Paths
    from rwkv_chat.session import Session


@dataclass(frozen=True)
class Said:
    """What one command line left behind."""

    code: int
    out: str
    err: str


class Cli(Protocol):
    def __call__(self, *arguments: str, stdin: str | bytes = "") -> Said: ...


@pytest.fixture
def cli(home: Path) -> Cli:
    """`cli("ask", "Hello", stdin="…")`: stdin is a pipe, as are stdout and stderr."""

    def call(*arguments: str, stdin: str | bytes = "") -> Said:
        with CliRunner().isolation(input=stdin) as (out, err, _):
            code = run(arguments)
            sys.stdout.flush()
            return Said(code, out.getvalue().decode(), err.getvalue().decode())

    return call


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine of every session that a command opens; script it before the call."""
    fake = FakeEngine()

    async def open_fake(
        paths: Paths, *, model: Path | None = None, private: bool = False, overrides: object = None
    ) -> Session:
        assert not overrides
        return await fake_session(paths.data.parent, fake, private=private)

    monkeypatch.setattr(opening, "open_session", open_fake)
    return fake
