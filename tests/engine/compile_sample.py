"""What `test_compile` compiles of the sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ops.sample.rows import Rows
from engine.ops.sample.triton_sample import sample_rows_triton

if TYPE_CHECKING:
    import torch


def world(dtype: torch.dtype) -> None:
    import torch

    exempt = torch.empty(65536, dtype=torch.uint8, device="meta")
    logits = torch.empty(1, 65536, dtype=dtype, device="meta")
    drawn = torch.empty(1, dtype=torch.int64, device="meta")
    sample_rows_triton(logits, Rows.empty(1, exempt), drawn)
