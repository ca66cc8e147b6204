"""Which tier a model is loaded in: what a person asks for, what the device computes with, what fits there.

A person asks for "int8" or "int4"; the device says which arithmetic that is. "auto" is the exact form that is
usual on the device, and on a CUDA device fewer bits where that does not fit. No torch is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.devices import has_bf16
from engine.errors import InvalidRequest, TierUnavailable
from engine.models.int8_names import INT4, INT8, ROW_TIERS
from engine.models.packed_names import BITS, INT4_FROM, in_fp16
from engine.weights.fit import RUN_BYTES, best, fit

if TYPE_CHECKING:
    from engine.types import TierReason
    from engine.weights.fit import Size

# "auto" on a CPU: below this many stored bytes fp32, exact and quick enough; above, bf16 takes half the time
SMALL_MODEL = 100_000_000

# kind of device → what a person asks for → the tier that it is there
ASKED = {
    "cpu": {"int8": INT8, "int4": INT4},
    "cuda": {"int8": "int8-g64", "int4": "int4-g32"},
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A tier (a key of `RUN_BYTES`), and what a person should be told of it."""

    tier: str
    reasons: tuple[TierReason, ...] = ()


def choose(asked: str, device: str, size: Size, stored_bytes: int, free: int | None) -> Choice:
    """
    Args:
        asked: "auto", a key of `ASKED` or a tier.
        free: bytes that will be free on the device once nothing else is loaded; None: nobody knows.

    Raises:
        InvalidRequest: no such tier.  TierUnavailable: not on this device.
    """
    kind = device.partition(":")[0]
    if asked != "auto":
        return _on_card(_named(asked, kind), device, size)
    if kind == "cpu":
        return Choice("fp32" if stored_bytes < SMALL_MODEL else "bf16")
    return _fitting(device, size, free)


def _named(asked: str, kind: str) -> str:
    if asked in ASKED[kind]:
        return ASKED[kind][asked]
    if asked not in RUN_BYTES:
        raise InvalidRequest(f"dtype {asked}")
    if asked in ROW_TIERS and kind != "cpu":
        raise TierUnavailable(asked, kind)
    return asked


def _on_card(tier: str, device: str, size: Size) -> Choice:
    """As asked for, but in fp16 on a card that has no bf16; 4 bits of a small model come with a warning."""
    reasons: tuple[TierReason, ...] = ("lossy",) if _bits(tier) == 4 and size.params < INT4_FROM else ()
    if tier in ("fp32", "fp16") or has_bf16(device):
        return Choice(tier, reasons)
    return Choice("fp16" if tier == "bf16" else in_fp16(tier), ("no-bf16", *reasons))


def _bits(tier: str) -> int | None:
    return 4 if tier == INT4 else BITS.get(tier)


def _fitting(device: str, size: Size, free: int | None) -> Choice:
    """The first that fits of bf16, int8 and, where it is offered, int4; if none does, the smallest."""
    names = ["bf16", "int8-g64", *(["int4-g32"] if size.params >= INT4_FROM else [])]
    choices = [_on_card(name, device, size) for name in names]
    fits = [fit(size, each.tier, device, free) for each in choices]
    found = best(fits) or fits[-1]
    choice = next(each for each in choices if each.tier == found.tier)
    return Choice(choice.tier, choice.reasons if found is fits[0] else (*choice.reasons, "room"))
