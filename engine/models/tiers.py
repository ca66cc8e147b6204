"""The numeric tiers: what weights are kept in, and what is computed in.

In the tier int8 the large matrices are 8-bit numbers with scales (`int8.py`), all else is bf16.
"""

from __future__ import annotations

import torch

# those whose weights all are of one dtype
TIERS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
INT8 = "int8"

# tier → run dtype: of activations, token shifts and whatever is no large matrix
RUN_DTYPES = TIERS | {INT8: torch.bfloat16}


def tier_name(dtype: torch.dtype) -> str:
    """The inverse of `TIERS`."""
    return next(name for name, x in TIERS.items() if x == dtype)
