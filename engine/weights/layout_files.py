"""Where converted layouts (`layout.py`) stand: beside their model, or in the cache folder. Loads no torch."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from engine.weights.fit import RUN_BYTES

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".layout"
FOLDER = "layouts"  # in the cache folder


def places(model: Path, tier: str, cache: Path | None) -> tuple[Path, ...]:
    """Where a model's layout of this tier may stand, the first choice first."""
    beside = model.with_name(f".{model.name}.{tier}{SUFFIX}")
    if cache is None:
        return (beside,)
    name = hashlib.sha256(str(model.resolve()).encode()).hexdigest()[:32]
    return beside, cache / FOLDER / f"{name}.{tier}{SUFFIX}"


def layouts_of(model: Path, cache: Path | None = None) -> tuple[Path, ...]:
    """Every layout of a model; to be deleted with it (before it: a link must still lead to it)."""
    every = (place for tier in RUN_BYTES for place in places(model, tier, cache))
    return tuple(place for place in every if place.is_file())
