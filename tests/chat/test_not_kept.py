"""That no disk has room for converted weights is told in both front ends: it makes every start slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.types import NotKept
from rwkv_chat.explain import not_kept_sentence
from tests.fakes import FakeEngine, fake_session
from tests.tui.helpers import opened, until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SENTENCE = not_kept_sentence(NotKept("/a/b.pth", 812_000_000))


def test_the_sentence_says_how_much() -> None:
    assert "812 MB" in SENTENCE


async def test_commands_say_so_on_stderr_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rwkv_chat.cli import opening

    async def begun(*_: object, **__: object) -> object:
        return await fake_session(home, FakeEngine(not_kept=812_000_000))

    monkeypatch.setattr(opening, "open_session", begun)
    async with opening.opened(None, keep=True) as session:
        await session.models.ready()
        await asyncio.sleep(0)
    told = capsys.readouterr()
    assert told.err.count(SENTENCE) == 1
    assert told.out == ""


async def test_the_screen_tells_it_once(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine(not_kept=812_000_000)) as (app, pilot, _):
        await until(pilot, lambda: len(app._notifications), "the notice")
        assert [each.message for each in app._notifications] == [SENTENCE]
