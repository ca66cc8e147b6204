"""What tests of tuning share: a tiny task that needs the recurrent memory, subjects and run folders on it."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import tomlkit
import torch

from engine.models import ARCHITECTURES
from engine.models.prepare import prepare
from engine.tune import rows
from engine.tune.batches import from_source
from engine.tune.folder import Folder
from engine.tune.init import initial_tensors
from engine.tune.loop import Trainer
from engine.tune.subject import Subject
from engine.types import Row, Step, TuneConfig, config_table
from tests.engine import tiny

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from engine.tune.batches import RowSource
    from engine.types import ModelSpec, TuneEvent

SPEC = tiny.spec(n_layer=2, n_embd=32, head_size=16, vocab_size=24, rank=8)


def repeat_rows(start: int) -> Iterator[Row]:
    """Four symbols, a mark, the same four again; only the second half is trained."""
    for i in itertools.count(start):
        rng = random.Random(i)
        word = [rng.randrange(2, 24) for _ in range(4)]
        yield [0, *word, 1, *word], [0.0] * 6 + [1.0] * 4


def rows_of(start: int, count: int) -> list[Row]:
    return list(itertools.islice(repeat_rows(start), count))


def styled_rows(start: int) -> Iterator[Row]:
    """Four symbols, a mark, and then the same four always."""
    for ids, weights in repeat_rows(start):
        yield [*ids[:6], 5, 9, 7, 5], weights


def config(model: str = "", **changes: Any) -> TuneConfig:
    table = {
        "steps": 12,
        "batch_size": 4,
        "context": 64,
        "warmup": 2,
        "base": "fp32",
        "rank": 4,
        "alpha": 8.0,
    }
    return TuneConfig(**{"model": model, **table, **changes})


def full_subject(spec: ModelSpec = SPEC, **changes: Any) -> Subject:
    """Everything is trained, from the official initialisation."""
    chosen = config(method="full", **changes)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[chosen.base]
    model = ARCHITECTURES[spec.arch](spec, initial_tensors(spec, 0), dtype=dtype)
    return Subject(model, chosen, {})


def subject(spec: ModelSpec = SPEC, method: str = "state", **changes: Any) -> Subject:
    """A frozen random model, and a method on it that needs no file."""
    model = ARCHITECTURES[spec.arch](spec, prepare(tiny.plain_tensors(spec), spec, torch.float32))
    model.recompute = changes.get("recompute", True)
    return Subject(model, config(method=method, **changes), {})


def trainer(made: Subject, source: RowSource = repeat_rows, **options: Any) -> Trainer:
    return Trainer(made, from_source(source, made.config.batch_size), **options)


def losses(events: Iterable[TuneEvent]) -> list[float]:
    return [event.loss for event in events if isinstance(event, Step)]


def run_folder(folder: Path, model: Path, train: list[Row], valid: list[Row] = [], **changes: Any) -> Folder:  # noqa: B006  never changed
    """A run as the app makes it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Folder(folder)
    made.config.write_text(tomlkit.dumps(config_table(config(str(model), **changes))))
    rows.write(made.train, train)
    if valid:
        rows.write(made.valid, valid)
    return made
