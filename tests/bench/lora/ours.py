"""Ours: the loop of `engine.tune`, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.tune.loop import Trainer
from engine.tune.subject import open_subject
from engine.types import Row, Step, TuneConfig
from tests.bench.lora.case import CLIP, RATE

if TYPE_CHECKING:
    from tests.bench.lora.case import Case

ENDLESS = 1_000_000  # steps


class Ours:
    def __init__(self, path: str, case: Case) -> None:
        config = TuneConfig(
            path, "lora", "bf16", steps=ENDLESS, batch_size=case.batch, micro_batch=case.batch,
            context=case.context, rank=case.rank, alpha=float(case.rank), learning_rate=RATE, final_rate=RATE,
            warmup=0, clip=CLIP, recompute=case.recompute,
        )  # fmt: skip
        subject = open_subject(config)
        learnt = [float(i >= case.first_learnt) for i in range(case.context + 1)]
        self.rows: list[Row] = [(each, learnt) for each in case.ids(subject.model.spec.vocab_size).tolist()]
        self.trainer = Trainer(subject, lambda _: self.rows)
        self._events = self.trainer.run()

    def step(self) -> float:
        return next(each.loss for each in self._events if isinstance(each, Step))
