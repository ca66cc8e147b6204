"""What a kernel must know of the card it runs on; and the one check for programmatic dependent launch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

DEPENDENT_LAUNCH_FROM = 90
NO_CARD = 0  # `sm` of the interpreter, which runs kernels on a CPU


@dataclass(frozen=True, slots=True)
class Card:
    """A kind of card.

    Attributes:
        sm: its compute capability, 90 for 9.0.
        processors: how many multiprocessors it has.
    """

    sm: int
    processors: int

    @property
    def dependent_launch(self) -> bool:
        """Whether a kernel may begin while the one before is still running (`griddepcontrol`)."""
        return self.sm >= DEPENDENT_LAUNCH_FROM


def card_of(device: torch.device) -> Card:
    """The card that tensors of a device are on; NO_CARD for a CPU."""
    return _found(device.type, device.index)


@cache
def _found(kind: str, index: int | None) -> Card:
    if kind != "cuda":
        return Card(NO_CARD, 1)
    found = torch.cuda.get_device_properties(index or 0)
    return Card(found.major * 10 + found.minor, found.multi_processor_count)


def options(
    card: Card, warps: int, *, stages: int = 1, dependent: bool = False, registers: int | None = None
) -> dict[str, object]:
    """Compiler options of a launch, none of which an environment variable may change.

    Sums of products are fused (one rounding less); a kernel that must not be compiled so has its own options.

    Args:
        dependent: the kernel waits for the one before by itself.
        registers: of a thread, at most. Without it the assembler may spill a few for a rounder number.
    """
    made: dict[str, object] = {"num_warps": warps, "num_stages": stages, "enable_fp_fusion": True}
    made |= {"maxnreg": registers} if registers else {}
    return made | {"launch_pdl": True} if dependent and card.dependent_launch else made


def launch(kernel: Any, grid: tuple[int, ...], *arguments: object, **options: object) -> None:
    """Queues a kernel (`@triton.jit`) on the current stream; what it takes, no type checker knows."""
    kernel[grid](*arguments, **options)
