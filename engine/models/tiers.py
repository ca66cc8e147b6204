"""The numeric tiers: run dtypes by name."""

from __future__ import annotations

import torch

TIERS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def tier_name(dtype: torch.dtype) -> str:
    """The inverse of `TIERS`."""
    return next(name for name, x in TIERS.items() if x == dtype)
