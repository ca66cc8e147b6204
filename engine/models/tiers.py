"""The numeric tiers: what weights are kept in, and what is computed in.

On a CPU, in the tiers int8 and int4-rows, the large matrices are numbers of few bits with scales
(`int8.py`), all else is bf16. In the packed tiers, those of CUDA devices, they are groups of 8 or 4 bits
(`packed.py`), all else is bf16 or fp16.
"""

from __future__ import annotations

import torch

from engine.models.int8_names import ROW_TIERS
from engine.models.packed_names import BITS, is_fp16

# those whose weights all are of one dtype
TIERS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PACKED = {tier: torch.float16 if is_fp16(tier) else torch.bfloat16 for tier in BITS}

# tier → run dtype: of activations, token shifts and whatever is no large matrix
RUN_DTYPES = TIERS | dict.fromkeys(ROW_TIERS, torch.bfloat16) | _PACKED


def tier_name(dtype: torch.dtype) -> str:
    """The inverse of `TIERS`."""
    return next(name for name, x in TIERS.items() if x == dtype)
