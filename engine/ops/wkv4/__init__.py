"""wkv4, the recurrence of RWKV-4: for each channel an average of all values, weighted by exp(k) and by age.

y = (Σ_i exp(k_i + (t−1−i)·log_w)·v_i + exp(u + k_t)·v_t) / (the same sums without v)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops import kernels
from engine.ops.wkv4.naive import wkv4_naive
from engine.ops.wkv4.scan import wkv4_scan

if TYPE_CHECKING:
    from torch import Tensor

    from engine.ops.wkv4.naive import Average

# below this, stepping does less work than the rounds of a scan; on a CPU, where an operation costs its data
# and little more, stepping always does (measured: 16 ms against 58 ms for 256 tokens of 4096 channels)
SHORTEST_SCANNED = 4


def wkv4(
    log_w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Average, lengths: Tensor | None = None
) -> tuple[Tensor, Average]:
    """The recurrence over any number of tokens, continued from `state`, which is not changed.

    Args:
        log_w, u: [C], the logarithm of the decay (< 0) and the bonus.
        k, v: [B,T,C], any float dtype.
        state: (numerator, denominator, exponent), each [B,C] fp32 (fp64 in gradient checks): both sums were
            divided by exp(exponent), the largest weight's. All arithmetic is done in their dtype.
        lengths: [B]; the tokens of a row from its length on change no state, and their y means nothing.

    Returns:
        y [B,T,C] and the state after the last token, in the state's dtype.
    """
    needs_grad = torch.is_grad_enabled() and any(x.requires_grad for x in (log_w, u, k, v, *state))
    if k.shape[1] and kernels.usable(k) and state[0].dtype == torch.float32 and not needs_grad:
        from engine.ops.wkv4.triton_serial import wkv4_triton_serial

        return wkv4_triton_serial(log_w, u, k, v, state, lengths)
    if k.shape[1] < SHORTEST_SCANNED or k.device.type == "cpu":
        return wkv4_naive(log_w, u, k, v, state, lengths)
    return wkv4_scan(log_w, u, k, v, state, lengths)


__all__ = ["wkv4", "wkv4_naive", "wkv4_scan"]
