"""New memory full of NaN: what a kernel leaves unwritten, or reads too early, is seen in its results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def _poisoned(made: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def filled(*args: Any, **kwargs: Any) -> torch.Tensor:
        x = made(*args, **kwargs)
        return x.fill_(float("nan")) if x.is_floating_point() else x

    return filled


def poison_new_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on what is allocated without a value holds NaN."""
    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, _poisoned(getattr(torch, name)))
    monkeypatch.setattr(torch.Tensor, "new_empty", _poisoned(torch.Tensor.new_empty))
