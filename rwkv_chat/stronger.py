"""Stronger penalties, for a reply that says the same again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.types import SamplingParams

STEP, MOST = 0.4, 5.0


def stronger(params: SamplingParams) -> dict[str, float]:
    """Presence and frequency penalty, raised, by name."""
    names = ("presence_penalty", "frequency_penalty")
    return {name: min(MOST, round(getattr(params, name) + STEP, 6)) for name in names}
