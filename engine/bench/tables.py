"""The tables in their order, on one loaded model or on models of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.bench.clock import Clock
from engine.bench.decode import batches, contexts
from engine.bench.peers import peers
from engine.bench.prefill import prefill
from engine.bench.reply import reply
from engine.bench.resume import resume
from engine.bench.start import start
from engine.bench.subject import loaded, machine, subject, threads_of
from engine.bench.tiers import tiers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.bench.rows import Plan, Row
    from engine.models.model import Model

# with the model of the plan, and, once it is given up, with others
WITH_MODEL: dict[str, Callable[[Plan, Model, Clock], Iterator[Row]]] = {
    "reply": lambda plan, model, _: iter([reply(plan, model)]),
    "context": contexts,
    "prefill": prefill,
    "batch": batches,
    "resume": lambda plan, model, clock: iter([resume(plan, model, clock)]),
}
ALONE: dict[str, Callable[[Plan], Iterator[Row]]] = {
    "start": lambda plan: iter([start(plan)]),
    "tiers": tiers,
    "peers": peers,
}


def measured(plan: Plan, wanted: tuple[str, ...]) -> Iterator[Row]:
    """See `engine.bench.run`."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads_of(plan))
    try:
        with torch.inference_mode():
            yield from _rows(plan, wanted)
    finally:
        torch.set_num_threads(before)


def _rows(plan: Plan, wanted: tuple[str, ...]) -> Iterator[Row]:
    model = loaded(plan)
    yield machine(plan, model.device)
    yield subject(plan, model)
    clock = Clock(model.device)
    for table in wanted:
        if table in WITH_MODEL:
            yield from WITH_MODEL[table](plan, model, clock)
    del model
    for table in wanted:
        if table in ALONE:
            yield from ALONE[table](plan)
