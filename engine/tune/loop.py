"""The tuning loop: a generator of events, resumable at every checkpoint.

One step learns from `batch_size` rows, however many are fed at once and by however many processes: every loss
is divided by what all rows of the step count together.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from engine.errors import NotFinite, OutOfMemory
from engine.shortage import shortage
from engine.tune import checkpoint
from engine.tune.batches import feeds
from engine.tune.checkpoint import Position
from engine.tune.group import Alone
from engine.tune.optimizer import make_optimizer, rate_at, set_rate
from engine.tune.sample import reply
from engine.tune.speed import Speed
from engine.types import (
    CheckpointSaved,
    Evaluated,
    Row,
    Sampled,
    Shrunk,
    Skipped,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.tune.batches import Batches, Feed
    from engine.tune.subject import Subject
    from engine.types import Probe, TuneEvent
    from engine.types.tuning import StopReason

BAD_STEPS = 5  # in a row, without a finite number: more than bad luck
NO_LOSS, EMPTY_STEPS = 1e-7, 3  # nats a token, and steps in a row, that say that nothing is left to learn
LAST, BEST = "last", "best"


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What one step gave: loss in nats per trained token, gradient norm, tokens."""

    loss: float
    norm: float
    tokens: int


class Trainer:
    """A subject in training, and how far it is.

    Args:
        batches: the rows of a step.  validation: rows for `Evaluated`, none for no evaluation.
        folder: of checkpoints; the last one there is taken up. None keeps none.
        probes: prompts that are answered at every evaluation.
        group: the processes that tune together.

    Attributes:
        at: how far it is.  reason: why `run` ended, once it has.

    Raises:
        StateCorrupt: the checkpoint is damaged or of another run.
    """

    def __init__(
        self,
        subject: Subject,
        batches: Batches,
        *,
        validation: Sequence[Row] = (),
        folder: Path | None = None,
        probes: tuple[Probe, ...] = (),
        group: Alone | None = None,
    ) -> None:
        self.subject, self.config = subject, subject.config
        self.at = Position(method=self.config.method, seed=self.config.seed)
        self.reason: StopReason = "finished"
        self.optimizer = make_optimizer(dict(subject.trained), self.config)
        self._group = group or Alone()
        self._module = self._group.wrapped(subject)
        self._batches, self._validation, self._probes = batches, validation, probes
        self._folder, self._speed = folder, Speed()
        self._bad = self._empty = 0
        self._saved = -1
        self._take_up()

    # ------------------------------------------------------------------------------------ checkpoints

    def _take_up(self) -> None:
        if self._folder is None:
            return
        path = self._folder / f"{LAST}.safetensors"
        if (found := checkpoint.load(path)) is not None:
            checkpoint.restore(found, self.subject.trained, self.optimizer, path)
            self.at, self._saved = found.at, found.at.step

    def _save(self, which: str) -> Iterator[TuneEvent]:
        """One process writes."""
        if self._folder is None or self._group.rank:
            return
        if which == LAST:
            if self._saved == self.at.step:
                return
            self._saved = self.at.step
        moments = self.optimizer if which == LAST else None
        path = self._folder / f"{which}.safetensors"
        nbytes = checkpoint.save(path, self.subject.trained, moments, self.at)
        yield CheckpointSaved(self.at.step, which, nbytes)

    def best(self) -> dict[str, torch.Tensor] | None:
        """The trained tensors of the lowest validation loss; None where there is no such checkpoint."""
        found = checkpoint.load(self._folder / f"{BEST}.safetensors") if self._folder else None
        return found.values if found else None

    # ------------------------------------------------------------------------------------ steps

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[TuneEvent]:
        """Trains to the last step, or until `should_stop`; a checkpoint is written either way.

        Raises:
            NotFinite: several steps in a row gave no finite number.  OutOfMemory: one row alone is too much.
        """
        if self.at.step == 0:
            yield from self._measured()
        self.reason = "finished"
        while self.at.step < self.config.steps:
            if self._agreed(should_stop()):
                self.reason = "asked"
                break
            rows = self._batches(self.at.step)
            if not rows:
                break
            yield from self._step(rows)
            yield from self._after()
            if self.reason != "finished":
                break
        yield from self._save(LAST)

    def _agreed(self, stop: bool) -> bool:
        """Whether any process was asked."""
        return self._group.sum(float(stop))[0] > 0

    def _step(self, rows: list[Row]) -> Iterator[TuneEvent]:
        """One step; tried again with fewer rows at once where memory is short."""
        self._speed.begin()
        rate = rate_at(self.config, self.at.step)
        set_rate(self.optimizer, rate)
        while True:
            parts = self._feeds(self._mine(rows))
            try:
                learnt = self._learn(parts)
                break
            except (RuntimeError, MemoryError) as error:
                yield self._shrunk(error, max(len(each.pairs) for each in parts))
        self.at = replace(self.at, step=self.at.step + 1)
        if not math.isfinite(learnt.loss + learnt.norm):
            self._bad += 1
            yield Skipped(self.at.step)
            if self._bad >= BAD_STEPS:
                raise NotFinite
            return
        self._bad, self.at = 0, replace(self.at, learnt=self.at.learnt + 1)
        self._empty = self._empty + 1 if learnt.loss < NO_LOSS else 0
        speed = self._speed.end(learnt.tokens)
        left = self._speed.seconds_for(self.config.steps - self.at.step)
        yield Step(self.at.step, self.config.steps, learnt.loss, rate, speed, left, learnt.norm)

    def _shrunk(self, error: Exception, before: int) -> Shrunk:
        """Half as many rows at once from now on. Raises the error if it is another, or of one row."""
        found = shortage(error)
        if found is None:
            raise error
        self.optimizer.zero_grad()
        if before == 1 or self._group.size > 1:
            raise OutOfMemory(found.needed, found.free) from error
        self.at = replace(self.at, at_once=before // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return Shrunk(self.at.step, before // 2)

    def _mine(self, rows: Sequence[Row]) -> list[Row]:
        """This process's share: of like length as the others'."""
        return sorted(rows, key=lambda row: -len(row[0]))[self._group.rank :: self._group.size]

    def _feeds(self, rows: Sequence[Row]) -> list[Feed]:
        return feeds(rows, self.config.context, self.config.micro_batch, self.at.at_once)

    def _learn(self, parts: list[Feed]) -> _Learnt:
        """Gradients of all rows, then the optimiser's step, if every number is finite."""
        (weight,) = self._group.sum(sum(each.weight for each in parts))
        loss = sum(self._gradients(each, weight / self._group.size, last=each is parts[-1]) for each in parts)
        total, tokens = self._group.sum(loss, sum(each.tokens for each in parts))
        norm = float(torch.nn.utils.clip_grad_norm_(self.subject.trained.values(), self.config.clip))
        if math.isfinite(total + norm):
            self.optimizer.step()
        self.optimizer.zero_grad()
        return _Learnt(total / weight, norm, int(tokens))

    def _gradients(self, feed: Feed, weight: float, *, last: bool) -> float:
        """Adds the gradients of some rows, piece by piece; their loss, summed."""
        total, state, before = 0.0, None, []
        pieces = list(feed.pieces())
        for piece in pieces:
            if state is not None:
                state = state if piece.rows == before else state.select([before.index(i) for i in piece.rows])
            final = last and piece is pieces[-1]
            with nullcontext() if final else self._group.unsynced(self._module):
                loss, after = self._module(piece, state)
                (loss / weight).backward()
            total += float(loss.detach())
            state, before = after.detached(), piece.rows
        return total

    # ------------------------------------------------------------------------------------ measuring

    def _after(self) -> Iterator[TuneEvent]:
        """What is due after a step."""
        if self._is_due(self.config.evaluate_every):
            yield from self._measured()
        if self.config.checkpoint_every and self.at.step % self.config.checkpoint_every == 0:
            yield from self._save(LAST)
        if self._empty >= EMPTY_STEPS:
            self.reason = "no-loss"
        elif self.config.patience and self.at.stale >= self.config.patience:
            self.reason = "early"

    def _is_due(self, every: int) -> bool:
        return self.at.step == self.config.steps or (every > 0 and self.at.step % every == 0)

    def _measured(self) -> Iterator[TuneEvent]:
        """The validation loss, the best checkpoint if it is, replies to the probes."""
        if self._validation:
            loss = self.evaluate()
            yield Evaluated(self.at.step, loss)
            if math.isfinite(loss) and (self.at.best is None or loss < self.at.best):
                self.at = replace(self.at, best=loss, stale=0)
                yield from self._save(BEST)
            else:
                self.at = replace(self.at, stale=self.at.stale + 1)
        if self._group.rank == 0 and self.config.sample_tokens:
            for i, probe in enumerate(self._probes):
                tokens, stopped = reply(self.subject, probe, self.config.sample_tokens)
                yield Sampled(self.at.step, i, tokens, stopped)

    @torch.no_grad()
    def evaluate(self) -> float:
        """The mean loss over the validation rows, each token by its weight; shared among the processes."""
        total = weight = 0.0
        for feed in self._feeds(self._mine(self._validation)):
            weight += feed.weight
            state, before = None, []
            for piece in feed.pieces():
                if state is not None and piece.rows != before:
                    state = state.select([before.index(i) for i in piece.rows])
                loss, state = self.subject(piece, state)
                total += float(loss)
                before = piece.rows
        total, weight = self._group.sum(total, weight)
        return total / max(weight, 1e-9)
