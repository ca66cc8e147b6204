"""A model whose state is the list of tokens it has consumed, and which says what a script tells it to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.models.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.types import TokenIds

ROOM = 512


class ScriptedModel:
    """`say(consumed)` is the token that gets all the probability after the tokens `consumed`."""

    def __init__(self, say: Callable[[TokenIds], int], vocab: int) -> None:
        self.say, self.vocab = say, vocab
        self.fed: list[int] = []  # tokens fed in each call

    def zero_state(self, batch: int = 1) -> State:
        return State("scripted", {"seen_BT": torch.full((batch, ROOM), -1)})

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        self.fed.append(tokens.numel())
        seen = state.tensors["seen_BT"].clone()
        logits = torch.full((len(seen), self.vocab), -30.0)
        for row, line in enumerate(seen):
            length = int((line >= 0).sum())
            line[length : length + tokens.shape[1]] = tokens[row]
            logits[row, self.say(consumed(State("scripted", {"seen_BT": line[None]})))] = 30.0
        return logits, State("scripted", {"seen_BT": seen})

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        return self.forward(tokens[:, None], state)


def consumed(state: State) -> TokenIds:
    """The tokens that a scripted state has consumed."""
    (line,) = state.tensors["seen_BT"].tolist()
    return tuple(token for token in line if token >= 0)
