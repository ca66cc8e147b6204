"""Which stepper decodes which architecture on a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.graphs import PlainStepper
from engine.models.rwkv7 import Rwkv7

if TYPE_CHECKING:
    from engine.graphs import Stepper


def stepper_of(model: Any, batch: int) -> Stepper:
    """The chain of kernels for RWKV-7; for all others the model's own step."""
    if isinstance(model, Rwkv7):
        from engine.models.rwkv7_chain import Chain7, takes

        if takes(model.spec):
            return Chain7(model, batch)
    return PlainStepper(model, batch)
