"""The next token of every row, drawn where the logits are: `sample_rows`, the one public name.

The rules are those of `engine.sampling`; `naive` states them for one row on the CPU, `triton_sample` draws
for all rows of a batch at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ops.sample.naive import sample_rows_naive
from engine.ops.sample.rows import AHEAD, NONE, Rows

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AHEAD", "NONE", "Rows", "sample_rows", "sample_rows_naive"]


def sample_rows(logits: Tensor, rows: Rows, drawn: Tensor) -> None:
    """Draws a token for each row from logits [B,O] (fp32) into `drawn` [B] (int64); no host waits on CUDA.

    The token drawn before is counted first. `NONE` is drawn where the model gave no finite logit.
    """
    if logits.is_cuda:
        from engine.ops.sample.triton_sample import sample_rows_triton

        sample_rows_triton(logits, rows, drawn)
    else:
        sample_rows_naive(logits, rows, drawn)
