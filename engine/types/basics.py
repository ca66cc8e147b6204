"""Names that several values share."""

from __future__ import annotations

from typing import Literal

TokenIds = tuple[int, ...]
FinishReason = Literal["stop", "length", "cancelled", "repeats"]
StateSource = Literal["fresh", "device", "ram", "disk", "rebuilt"]
TierReason = Literal["room", "no-bf16", "lossy"]
