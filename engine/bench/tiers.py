"""The same model in every numeric form that the device has."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import torch

from engine.bench.clock import Clock
from engine.bench.prefill import seconds_of
from engine.bench.rows import LeftOut, TierRow
from engine.bench.subject import Stepper, loaded
from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.bench.rows import Plan

PROMPT = 256


def tiers(plan: Plan) -> Iterator[TierRow | LeftOut]:
    """One model after the other: each is given up before the next is loaded."""
    for tier in plan.tiers:
        try:
            row = _row(plan, tier)
        except EngineError as error:
            row = LeftOut("tiers", tier, type(error).__name__)
        yield row
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _row(plan: Plan, tier: str) -> TierRow:
    """Raises: EngineError (see `load`)."""
    model = loaded(plan, tier)
    clock = Clock(model.device)
    step = clock.median(Stepper(model, model.zero_state()).step, plan.seconds)
    read = seconds_of(model, clock, PROMPT, plan.seconds)
    return TierRow(model.tier, model.nbytes, step, PROMPT / read)
