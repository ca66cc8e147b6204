"""What all contenders of a row are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

RATE, CLIP = 1e-4, 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """Rows at once, their tokens, LoRA's rank (its α is the same), and whether blocks are computed again."""

    size: str
    batch: int
    context: int = 4096
    rank: int = 64
    recompute: bool = True

    @property
    def tokens(self) -> int:
        """Of one step."""
        return self.batch * self.context

    def ids(self, vocabulary: int) -> torch.Tensor:
        """[batch, context + 1] int64."""
        rng = torch.Generator().manual_seed(1)
        return torch.randint(1, vocabulary, (self.batch, self.context + 1), generator=rng)

    @property
    def first_learnt(self) -> int:
        """The place of the first token of a row that is learnt; those after it are, too."""
        return (self.context + 1) // 2


class Contender(Protocol):
    """A model with its adapter and its optimiser."""

    def step(self) -> float:
        """One step on the case's rows; the loss before it, nats for each token that is learnt."""
        ...
