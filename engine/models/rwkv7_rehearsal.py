"""The compiled decode step of RWKV-7, made ready in a thread of its own while a model is loaded.

Numba and the machine code that it keeps take half a second to load; compiling, the first time of all, takes
several. A step of the smallest model there can be asks for all of it.
"""

from __future__ import annotations

import logging
import threading

import torch

from engine.models.int8 import forms
from engine.models.names import expected_shapes
from engine.models.rwkv7 import Rwkv7
from engine.models.rwkv7_steps import compiles, is_worth_compiling
from engine.ops.token7 import BLOCK, HEAD
from engine.types import ModelSpec

log = logging.getLogger("engine")

_RANKS = tuple((letter, 1) for letter in "agvw")
SMALLEST = ModelSpec("rwkv7", 1, BLOCK, HEAD, BLOCK, 1, _RANKS)


def rehearse(spec: ModelSpec, tier: str) -> threading.Thread | None:
    """Begins, and returns at once; None if it is clear at once that a model of `spec` takes another step.

    Whoever needs the step earlier waits for what is left.
    """
    if spec.arch != "rwkv7" or not is_worth_compiling(spec):
        return None
    thread = threading.Thread(target=_rehearse, args=(spec, tier), name="rehearsal", daemon=True)
    thread.start()
    return thread


def _rehearse(spec: ModelSpec, tier: str) -> None:
    try:
        if compiles(spec, tier):
            rehearsed(tier)
    except Exception:  # the model's own first step meets it again, and tells it
        log.exception("the decode step could not be made ready")


def rehearsed(tier: str) -> torch.Tensor:
    """Logits [1,O] of a model that is all zeros."""
    made = forms(expected_shapes(SMALLEST), SMALLEST, tier)
    tensors = {name: torch.zeros(shape, dtype=dtype) for name, (shape, dtype) in made.items()}
    with torch.inference_mode():
        model = Rwkv7(SMALLEST, tensors, tier=tier)
        logits, _ = model.compiled_step()(0, model.zero_state())
    return logits
