"""The training loop: a generator of `Step` and `Evaluated` events, resumable at every checkpoint."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from engine.models.rwkv7 import Rwkv7
from engine.tune.data import Batch, Row, RowSource, batches, make_batch
from engine.tune.loss import weighted_loss
from engine.types import Evaluated, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from engine.tune.runs import Run
    from engine.types import ModelSpec

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How to train.

    Attributes:
        steps: optimiser steps.  batch_size: rows per step.  context: the most tokens of a row that are fed.
        learning_rate, final_rate, warmup: cosine between the rates after `warmup` steps of rising.
        weight_decay: on the big `.weight` matrices only.  clip: largest gradient norm.
        dtype: "bf16" or "fp32" for weights and activations of the forward; masters, wkv and loss are fp32.
        l2_wrap: the official pull on the largest logit.
        evaluate_every, checkpoint_every: in steps; 0 for only at the end.
        method: a key of `METHODS`.
    """

    steps: int
    batch_size: int = 8
    context: int = 320
    learning_rate: float = 1.2e-3
    final_rate: float = 1e-5
    warmup: int = 20
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-18
    clip: float = 1.0
    dtype: str = "bf16"
    l2_wrap: bool = False
    evaluate_every: int = 0
    checkpoint_every: int = 0
    method: str = "full"


def rate_at(config: TrainConfig, step: int) -> float:
    """The learning rate of a step (0-based): warm-up factor times cosine."""
    warm = min(1.0, 0.01 + 0.99 * step / config.warmup) if config.warmup else 1.0
    progress = min(1.0, max(0.0, (step - config.warmup) / max(1, config.steps - config.warmup)))
    low, high = config.final_rate, config.learning_rate
    return warm * (low + (high - low) * 0.5 * (1 + math.cos(math.pi * progress)))


def _full(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every tensor is trained, from fp32 masters."""
    return {name: x.detach().clone().float().requires_grad_() for name, x in tensors.items()}


# what is trained, by method: tensors by official name → those that receive gradients, same names
METHODS: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
    "full": _full,
}


def _is_decayed(name: str, x: Tensor) -> bool:
    return x.ndim == 2 and name.endswith(".weight")


def _optimizer(parameters: dict[str, Tensor], config: TrainConfig) -> torch.optim.AdamW:
    """Three groups: big matrices with weight decay, w0 at twice the rate, all else."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, x in parameters.items():
        decay = config.weight_decay if _is_decayed(name, x) else 0.0
        scale = 2.0 if name.endswith("att.w0") else 1.0
        groups.setdefault((decay, scale), []).append(x)
    return torch.optim.AdamW(
        [{"params": xs, "weight_decay": d, "rate_scale": s} for (d, s), xs in groups.items()],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.eps,
        fused=True,
    )


class Trainer:
    """A model in training: tensors, optimiser, and how far it is.

    Args:
        tensors: fp32, by official name, vectors as [C] (`initial_tensors` or a loaded model's).
        rows: the training rows from a given position on.
        validation: rows for `Evaluated`, none for no evaluation.
        run: folder for events and checkpoints; a checkpoint found there is taken up again.
    """

    def __init__(
        self,
        spec: ModelSpec,
        tensors: dict[str, Tensor],
        config: TrainConfig,
        rows: RowSource,
        *,
        validation: tuple[Row, ...] = (),
        run: Run | None = None,
    ) -> None:
        self.config, self._rows, self._run = config, rows, run
        self.parameters = METHODS[config.method](tensors)
        self.model = Rwkv7(spec, self.parameters, dtype=DTYPES[config.dtype])
        self._optimizer = _optimizer(self.parameters, config)
        self._validation = validation
        self.step = 0
        self.rows_used = 0
        if run is not None:
            self._take_up(run)

    def _take_up(self, run: Run) -> None:
        run.write_config(asdict(self.config))
        checkpoint = run.load()
        if checkpoint is None:
            return
        with torch.no_grad():
            for name, x in self.parameters.items():
                x.copy_(checkpoint["tensors"][name])
        self._optimizer.load_state_dict(checkpoint["optimizer"])
        self.step, self.rows_used = checkpoint["step"], checkpoint["rows_used"]

    def save(self) -> None:
        """Writes a checkpoint: tensors, optimiser, step and position in the data."""
        if self._run is None:
            return
        checkpoint: dict[str, Any] = {
            "tensors": {name: x.detach() for name, x in self.parameters.items()},
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "rows_used": self.rows_used,
        }
        self._run.save(checkpoint)

    def loss(self, batch: Batch) -> Tensor:
        """Nats per weighted token, each row from the zero state."""
        state = self.model.zero_state(batch.inputs.shape[0])
        logits, _ = self.model.forward(batch.inputs, state, all_logits=True)
        return weighted_loss(logits, batch.targets, batch.weights, l2_wrap=self.config.l2_wrap)

    def _train_on(self, batch: Batch) -> Step:
        start = time.perf_counter()
        rate = rate_at(self.config, self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["rate_scale"]
        loss = self.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        self.rows_used += batch.inputs.shape[0]
        seconds = time.perf_counter() - start
        return Step(self.step, self.config.steps, loss.item(), rate, batch.n_tokens / seconds)

    @torch.no_grad()
    def evaluate(self) -> Evaluated:
        """The mean loss over the validation rows, each token by its weight."""
        total = weight = 0.0
        size = self.config.batch_size
        for i in range(0, len(self._validation), size):
            batch = make_batch(self._validation[i : i + size], self.config.context)
            weight += float(batch.weights.sum())
            total += float(self.loss(batch)) * float(batch.weights.sum())
        return Evaluated(self.step, total / max(weight, 1e-9))

    def _is_due(self, every: int) -> bool:
        return self.step == self.config.steps or (every > 0 and self.step % every == 0)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Step | Evaluated]:
        """Trains to the last step, or until `should_stop`; a checkpoint is written either way."""
        stream = batches(self._rows(self.rows_used), self.config.batch_size, self.config.context)
        for batch in stream:
            if self.step >= self.config.steps or should_stop():
                break
            yield self._logged(self._train_on(batch))
            if self._validation and self._is_due(self.config.evaluate_every):
                yield self._logged(self.evaluate())
            if self.config.checkpoint_every and self.step % self.config.checkpoint_every == 0:
                self.save()
        self.save()

    def _logged(self, event: Step | Evaluated) -> Step | Evaluated:
        if self._run is not None:
            self._run.log(event)
        return event
