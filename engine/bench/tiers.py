"""The same model in every numeric form that the device has."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import torch

from engine.bench.prefill import seconds_of
from engine.bench.rows import LeftOut, TierRow
from engine.bench.subject import loaded, running
from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.bench.rows import Plan

PROMPT = 256


def tiers(plan: Plan) -> Iterator[TierRow | LeftOut]:
    """One model after the other: each is given up before the next is loaded."""
    for tier in plan.tiers:
        try:
            yield from _rows(plan, tier)
        except EngineError as error:
            yield LeftOut("tiers", tier, type(error).__name__)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _rows(plan: Plan, tier: str) -> Iterator[TierRow | LeftOut]:
    """Raises: EngineError (see `load`)."""
    model = loaded(plan, tier)
    its = yield from running(model)
    step = its.clock.median(its.stepper(model.zero_state()), plan.seconds)
    read = seconds_of(its, PROMPT, plan.seconds)
    yield TierRow(model.tier, model.nbytes, step, PROMPT / read)
