"""The rules of a draw, on the CPU: what every faster form has to agree with. `engine.sampling` lists them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from engine.errors import NotFinite
from engine.ops.sample.rows import AHEAD, FIELDS, NONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from engine.ops.sample.rows import Rows
    from engine.types import SamplingParams

HEAD = 1e-3  # probabilities of at least this share of the largest are sorted before all are


def penalised(logits: Tensor, params: SamplingParams, counts: Mapping[int, float]) -> Tensor:
    """logits [O] less the penalties of the tokens counted; a new tensor if there are any."""
    if not counts or (params.presence_penalty == 0 and params.frequency_penalty == 0):
        return logits
    ids = torch.tensor(list(counts))
    amounts = torch.tensor(list(counts.values()))
    logits = logits.clone()
    logits[ids] -= params.presence_penalty + amounts * params.frequency_penalty
    return logits


def truncated(p: Tensor, params: SamplingParams, head: float = HEAD) -> Tensor:
    """Probabilities p [O] with what top-p, top-k and min-p cut off set to 0 (not normalised again).

    Only those of at least `head` times the largest are sorted where they suffice; `head` = 0 is plain.
    """
    cutoff, most = 0.0, float(p.max())
    if params.top_p < 1:
        likely = p[p >= head * most].sort(descending=True).values
        reached = likely.double().cumsum(0) >= params.top_p
        if bool(reached[-1]):
            cutoff = float(likely[int(reached.int().argmax())])
        elif head > 0:
            return truncated(p, params, 0)
    kept = torch.where(p >= max(cutoff, params.min_p * most), p, 0)
    return _top_k(kept, params.top_k) if 0 < params.top_k < len(p) else kept


def _top_k(p: Tensor, k: int) -> Tensor:
    """The k largest of p [O], of equal ones those with the lower id."""
    least = p.topk(k).values[-1]
    above = p > least
    equal = (p == least).nonzero()[: k - int(above.sum()), 0]
    above[equal] = True
    return torch.where(above, p, 0)


def draw(p: Tensor, temperature: float, chance: float) -> int:
    """The id at which the cumulative sum of p^(1/temperature) passes `chance` (in [0, 1)) of the whole."""
    ids = p.nonzero()[:, 0]
    weights = p[ids].double()
    if temperature != 1:
        weights = (weights / weights.max()) ** (1 / temperature)
    sums = weights.cumsum(0)
    at = int(torch.searchsorted(sums, chance * float(sums[-1]), right=True))
    return int(ids[min(at, len(ids) - 1)])


def sample(logits: Tensor, params: SamplingParams, counts: Mapping[int, float], chance: float) -> int:
    """One step: the next id from logits [O] (fp32, CPU, restrictions already added); pure.

    Raises:
        NotFinite: the model gave no finite logit.
    """
    logits = penalised(logits, params, counts)
    largest = float(logits.max())
    if not math.isfinite(largest):
        raise NotFinite
    if params.temperature == 0:
        return int((logits == largest).nonzero()[0, 0])
    return draw(truncated(logits.softmax(0), params), params.temperature, chance)


def sample_rows_naive(logits: Tensor, rows: Rows, drawn: Tensor) -> None:
    """`engine.ops.sample.sample_rows`, a row after the other by `sample`; the host waits for the device."""
    for row, its in enumerate(logits.float().cpu()):
        counts = _counted(rows, row)
        step = int(rows.steps[row])
        chance = float(rows.chances[row, step % AHEAD])
        try:
            token = sample(its + rows.added[row].cpu(), rows.params(row), counts, chance)
        except NotFinite:
            token = NONE
        rows.last[row], rows.steps[row] = token, step + 1
        drawn[row] = token


def _counted(rows: Rows, row: int) -> dict[int, float]:
    """Counts the token drawn last, after all counts have decayed."""
    counts, last = rows.counts[row], int(rows.last[row])
    if last != NONE:
        decay = float(rows.settings[row, FIELDS.index("penalty_decay")])
        counts.copy_(torch.where(counts >= 0, counts * decay, counts))
        counts[last] = max(float(counts[last]), 0.0) + (1.0 - float(rows.exempt[last]))
    ids = (counts >= 0).nonzero()[:, 0]
    return dict(zip(ids.tolist(), counts[ids].tolist(), strict=True))
