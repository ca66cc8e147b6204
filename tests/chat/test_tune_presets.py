"""From a preset to the settings of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.types.tuning import METHODS
from rwkv_chat.session.examples_types import Amount
from rwkv_chat.session.tune_presets import SMALL_WIDTH, config_of
from tests.fake_tunes import FOUND

if TYPE_CHECKING:
    from engine.types import TuneConfig

MANY = replace(FOUND, train=Amount(400, 40_000, 15_000))


def config(method: str = "state", width: int = SMALL_WIDTH, **changes: Any) -> TuneConfig:
    return config_of("good", method, Path("m.pth"), MANY, "cuda", width, **changes)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("changes", [{}, {"learning_rate": 1e-3}])
def test_the_rate_falls_from_what_was_asked_for(method: str, changes: dict[str, float]) -> None:
    for width in (64, SMALL_WIDTH):
        made = config(method, width, **changes)
        assert made.rate == changes.get("learning_rate", made.rate)
        assert made.last_rate < made.rate


def test_states_begin_at_one() -> None:
    assert config().rate == 1.0


def test_more_examples_a_step_are_fewer_steps() -> None:
    assert config().steps == 10 * 400 // 8
    assert config(batch_size=16).steps == 10 * 400 // 16
    assert config(batch_size=16, steps=7).steps == 7


def test_a_small_model_learns_at_a_higher_rate() -> None:
    for method in METHODS:
        assert config(method, SMALL_WIDTH - 1).rate >= config(method, SMALL_WIDTH).rate
    assert config("lora", SMALL_WIDTH - 1).rate == 4e-3
    assert config("full", SMALL_WIDTH - 1).rate == 3e-4
