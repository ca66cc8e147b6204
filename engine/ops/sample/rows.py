"""What the samplers of B replies hold on the device that they draw on; filled in from the host.

Nothing here is made anew while a reply runs, so a CUDA graph may read and write it. What the host writes is
ordered by the stream: it holds for the next draw that is queued.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.types import SamplingParams

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

AHEAD = 32  # chances uploaded at once
ABSENT = -1.0  # the count of an id that the reply does not hold
NONE = -1  # no token: none drawn yet, or none that could be

# The columns of `settings`.
FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "penalty_decay",
)


@dataclass(frozen=True, slots=True)
class Rows:
    """One row for each reply.

    Attributes:
        settings: fp64 [B,7], columns as in `FIELDS`.
        added: fp32 [B,O], added to the logits first; −inf is a ban.
        counts: fp64 [B,O], how often an id stands in the reply, decayed; `ABSENT` where it does not.
        exempt: uint8 [O], 1 for ids that count nothing.
        last: int64 [B], the token drawn last, which the next draw counts; `NONE` before the first.
        steps: int64 [B], draws so far.
        chances: fp64 [B,AHEAD]; draw s uses column s modulo AHEAD.
    """

    settings: Tensor
    added: Tensor
    counts: Tensor
    exempt: Tensor
    last: Tensor
    steps: Tensor
    chances: Tensor

    @classmethod
    def empty(cls, batch: int, exempt: Tensor) -> Rows:
        """Rows on the device of `exempt` [O]; each has to be `begin`-ned before it is drawn from."""
        O, device = len(exempt), exempt.device  # noqa: E741  the vocabulary's letter
        return cls(
            torch.zeros(batch, len(FIELDS), dtype=torch.float64, device=device),
            torch.zeros(batch, O, device=device),
            torch.full((batch, O), ABSENT, dtype=torch.float64, device=device),
            exempt,
            torch.full((batch,), NONE, device=device),
            torch.zeros(batch, dtype=torch.int64, device=device),
            torch.zeros(batch, AHEAD, dtype=torch.float64, device=device),
        )

    def begin(
        self, row: int, params: SamplingParams, added: Tensor, counts: Iterable[tuple[int, float]]
    ) -> None:
        """A reply begins in this row: `added` [O], `counts` as (id, decayed count)."""
        self._set(row, params)
        _put(self.added[row], added)
        self.counts[row].fill_(ABSENT)
        if held := list(counts):
            ids, amounts = zip(*held, strict=True)
            at = torch.tensor(ids, device=self.counts.device)
            self.counts[row, at] = torch.tensor(amounts, dtype=torch.float64, device=self.counts.device)
        self.last[row], self.steps[row] = NONE, 0

    def change(self, row: int, params: SamplingParams, added: Tensor | None = None) -> None:
        """These params hold from the next draw on, and `added` [O] if given. What was drawn before counts as
        it did: no host waits.
        """
        self._count(row)
        if added is not None:
            _put(self.added[row], added)
        self._set(row, params)

    def _count(self, row: int) -> None:
        """Counts the token drawn last, which the next draw would count by its own params."""
        counts, last = self.counts[row], self.last[row]
        decay = self.settings[row, FIELDS.index("penalty_decay")]
        counted = torch.where(counts >= 0, counts * decay, counts)
        here = torch.arange(len(counts), device=counts.device) == last
        counted = torch.where(here, counted.clamp(min=0) + (1.0 - self.exempt.double()), counted)
        counts.copy_(torch.where(last >= 0, counted, counts))
        last.fill_(NONE)

    def _set(self, row: int, params: SamplingParams) -> None:
        values = [float(getattr(params, name)) for name in FIELDS]
        _put(self.settings[row], torch.tensor(values, dtype=torch.float64))

    def foresee(self, chances: Sequence[Sequence[float]]) -> None:
        """The chances [B,AHEAD] of the next draws; the first is that of a draw whose number AHEAD divides."""
        _put(self.chances, torch.tensor(chances, dtype=torch.float64))

    def params(self, row: int) -> SamplingParams:
        """The params in force, read back."""
        values = dict(zip(FIELDS, self.settings[row].tolist(), strict=True))
        return SamplingParams(**{**values, "top_k": int(values["top_k"])})


def _put(there: Tensor, values: Tensor) -> None:
    """Copies without waiting; pinned memory that is given up stays until the copy is done."""
    if there.is_cuda and values.device.type == "cpu":
        values = values.pin_memory()
    there.copy_(values, non_blocking=True)
