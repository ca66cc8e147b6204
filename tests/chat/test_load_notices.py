"""What a load has to tell is told in both front ends, once: a slow start, a card that is not used."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, get_args

import pytest

from engine.nvidia import Reason
from engine.types import NotFast, NotKept, TierChosen, TierReason
from rwkv_chat.explain import not_fast_sentence, not_kept_sentence, tier_sentence
from rwkv_chat.texts import lookup
from tests.fakes import FakeEngine, fake_session
from tests.tui.helpers import opened, until

if TYPE_CHECKING:
    from pathlib import Path

SLOW = NotKept("/a/b.pth", 812_000_000)
CARD = NotFast("old_driver", "NVIDIA X", "driver 535.1, CUDA 13.0")
TIER = TierChosen("/a/b.pth", "int8-g64", "room")
TOLD = (SLOW, CARD, TIER)
SENTENCES = [not_kept_sentence(SLOW), not_fast_sentence(CARD), tier_sentence(TIER)]


def test_the_sentence_says_how_much() -> None:
    assert "812 MB" in SENTENCES[0]


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_has_its_sentence(reason: str) -> None:
    assert lookup(f"models.not_fast.{reason}")
    said = not_fast_sentence(NotFast(reason, "NVIDIA \x1b[31mX", "some detail"))
    assert said.startswith("NVIDIA ")
    assert "\x1b" not in said
    assert "{" not in said
    assert said.endswith(".")


@pytest.mark.parametrize("reason", get_args(TierReason))
def test_every_tier_that_is_chosen_has_its_sentence(reason: TierReason) -> None:
    assert lookup(f"models.tier_chosen.{reason}")
    said = tier_sentence(TierChosen("/a/b.pth", "int8-g64", reason))
    assert "g64" not in said
    assert "{" not in said


def test_a_card_without_a_name_is_a_card() -> None:
    assert not_fast_sentence(NotFast("cpu_build")).startswith("The graphics card")


async def test_commands_say_so_on_stderr_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rwkv_chat.cli import opening

    async def begun(*_: object, **__: object) -> object:
        return await fake_session(home, FakeEngine(told=TOLD))

    monkeypatch.setattr(opening, "open_session", begun)
    async with opening.opened(None, keep=True) as session:
        await session.models.ready()
        await asyncio.sleep(0)
    told = capsys.readouterr()
    assert [told.err.count(each) for each in SENTENCES] == [1, 1, 1]
    assert told.out == ""


async def test_the_screen_tells_it_once(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine(told=TOLD)) as (app, pilot, _):
        await until(pilot, lambda: len(app._notifications) == 3, "the notices")
        assert [each.message for each in app._notifications] == SENTENCES
