"""AdamW with the official conventions: which tensors decay, which learn faster, and the rate of each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from engine.types import TuneConfig

BETAS, EPS = (0.9, 0.99), 1e-18
_FIRST_SHARE = 0.01  # of the rate, where the warm-up begins


def rate_at(config: TuneConfig, step: int) -> float:
    """The learning rate of a step (0-based): warm-up factor times cosine."""
    warm = min(1.0, _FIRST_SHARE + (1 - _FIRST_SHARE) * step / config.warmup) if config.warmup else 1.0
    progress = min(1.0, max(0.0, (step - config.warmup) / max(1, config.steps - config.warmup)))
    low, high = config.last_rate, config.rate
    return warm * (low + (high - low) * 0.5 * (1 + math.cos(math.pi * progress)))


def _is_decayed(name: str, x: Tensor) -> bool:
    """The big matrices; not vectors, low-rank matrices, states or adapters."""
    return x.ndim == 2 and name.endswith(".weight")


def make_optimizer(trained: dict[str, Tensor], config: TuneConfig) -> torch.optim.AdamW:
    """Groups: big matrices with weight decay, w0 at twice the rate, all else."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, x in trained.items():
        decay = config.weight_decay if _is_decayed(name, x) else 0.0
        scale = 2.0 if name.endswith("att.w0") else 1.0
        groups.setdefault((decay, scale), []).append(x)
    return torch.optim.AdamW(
        [{"params": xs, "weight_decay": d, "rate_scale": s} for (d, s), xs in groups.items()],
        lr=config.rate,
        betas=BETAS,
        eps=EPS,
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_scale"]
