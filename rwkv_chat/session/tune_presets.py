"""The three presets: how often the examples are gone through, and how patiently."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.devices import compute_threads
from engine.types import TuneConfig
from engine.types.tuning import RATES

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session.examples_types import Found
    from rwkv_chat.session.tune_types import PresetName

BATCH = 8
SMALL_WIDTH, SMALL_ADAPTER, SMALL_FULL = 512, 4e-3, 3e-4  # channels; rates below that
SMALLEST_CONTEXT, LARGEST_CONTEXT = 64, 1024
CHUNK = 16  # of the recurrence: contexts are whole ones


@dataclass(frozen=True, slots=True)
class Preset:
    """`passes` over the examples, within the least and the most steps; validation `evaluations` times on the
    way; `patience`: evaluations without a lower loss after which it ends.
    """

    passes: float
    least: int
    most: int
    evaluations: int
    patience: int


PRESETS: dict[PresetName, Preset] = {
    "quick": Preset(passes=4, least=80, most=250, evaluations=5, patience=0),
    "good": Preset(passes=10, least=160, most=2_000, evaluations=12, patience=4),
    "long": Preset(passes=30, least=400, most=20_000, evaluations=20, patience=6),
}


def config_of(
    preset: PresetName, method: str, model: Path, found: Found, device: str, width: int, **changes: Any
) -> TuneConfig:
    """How to tune with what was found.

    Args:
        width: channels of the model.  changes: fields of `TuneConfig` that were asked for.

    Raises:
        InvalidParameter, InvalidRequest: a change that cannot be.
    """
    of, rows = PRESETS[preset], max(1, found.train.examples)
    rate, final_rate = (0.0, 0.0) if changes.get("learning_rate") else _rates(method, width)
    batch = changes.get("batch_size") or min(BATCH, rows)
    steps = changes.get("steps") or min(of.most, max(of.least, math.ceil(of.passes * rows / batch)))
    every = max(1, steps // of.evaluations)
    values: dict[str, Any] = {
        "model": str(model),
        "method": method,
        "base": "fp32" if device == "cpu" else "bf16",
        "device": device,
        "steps": steps,
        "batch_size": batch,
        "context": _context(found.longest),
        "learning_rate": rate,
        "final_rate": final_rate,
        "warmup": min(10, steps // 10),
        "evaluate_every": every,
        "checkpoint_every": every,
        "patience": of.patience,
        # more threads than free cores are many times slower than fewer
        "threads": compute_threads() if device == "cpu" else 0,
    }
    return TuneConfig(**values | {name: value for name, value in changes.items() if value is not None})


def _rates(method: str, width: int) -> tuple[float, float]:
    """The highest and the last rate; 0: the method's own, and a tenth of the highest. States are of order 1,
    so RWKV-LM trains them from 1 down; a small model learns little at a large one's rate (measured with the
    built-in one: README of `engine.tune`).
    """
    if method == "state":
        return RATES["state"], 0.02
    if width >= SMALL_WIDTH:
        return 0.0, 0.0
    return (SMALL_FULL if method == "full" else SMALL_ADAPTER), 0.0


def _context(longest: int) -> int:
    """Room for the longest example; longer ones go on from the state of the tokens before."""
    whole = math.ceil(longest / CHUNK) * CHUNK
    return max(SMALLEST_CONTEXT, min(LARGEST_CONTEXT, whole))
