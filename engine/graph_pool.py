"""Decode graphs of one loaded model, lent to replies: two replies at once need buffers of their own."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch

from engine.graphs import DecodeGraph

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.graphs import Stepper


class GraphPool:
    """Graphs by batch size; made when they are first wanted, then kept."""

    def __init__(self, stepper: Callable[[int], Stepper], exempt: Tensor) -> None:
        """
        Args:
            stepper: makes one for a batch size.
            exempt: see `DecodeGraph`.
        """
        self._stepper, self._exempt = stepper, exempt
        self._free: defaultdict[int, list[DecodeGraph]] = defaultdict(list)

    def take(self, batch: int) -> DecodeGraph | None:
        """One that nobody else has; None where the device has no memory for another."""
        if self._free[batch]:
            return self._free[batch].pop()
        try:
            return DecodeGraph(self._stepper(batch), self._exempt)
        except torch.OutOfMemoryError:
            return None

    def give_back(self, graph: DecodeGraph) -> None:
        """Its steps may still run: whoever takes it next is queued behind them."""
        self._free[graph.batch].append(graph)

    def forget(self) -> None:
        """Lets go of all that nobody has."""
        self._free.clear()
