"""Rows of tokens with a loss weight for each, and batches of them.

Rows come from a `RowSource`: a function that starts the stream at any row, so that a resumed run goes on with
the row after the last one used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

# (tokens, weights): weights[i] counts the loss of predicting tokens[i]; weights[0] is not used
Row = tuple[Sequence[int], Sequence[float]]
RowSource = Callable[[int], Iterator[Row]]

PAD_TO = 16  # the chunk of the recurrence


@dataclass(frozen=True, slots=True)
class Batch:
    """inputs, targets [B,T] int64 and weights [B,T] fp32 of the targets, 0 on padding; T a multiple of 16."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor
    n_tokens: int  # without padding


def make_batch(rows: Sequence[Row], context: int) -> Batch:
    """Rows cut to context + 1 tokens and padded on the right with token 0, weight 0."""
    cut = [(list(tokens[: context + 1]), list(weights[: context + 1])) for tokens, weights in rows]
    longest = max(len(tokens) - 1 for tokens, _ in cut)
    T = max(PAD_TO, -(-longest // PAD_TO) * PAD_TO)
    ids, loss_weights = torch.zeros(len(cut), T + 1, dtype=torch.int64), torch.zeros(len(cut), T + 1)
    for i, (tokens, weights) in enumerate(cut):
        ids[i, : len(tokens)] = torch.tensor(tokens)
        loss_weights[i, : len(weights)] = torch.tensor(weights)
    n_tokens = sum(len(tokens) - 1 for tokens, _ in cut)
    return Batch(ids[:, :-1], ids[:, 1:], loss_weights[:, 1:], n_tokens)


def batches(rows: Iterator[Row], size: int, context: int) -> Iterator[Batch]:
    """Batches of `size` rows, the last one smaller if the rows end."""
    while chosen := list(islice(rows, size)):
        yield make_batch(chosen, context)
