"""The tables in their order, on one loaded model or on models of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.bench.decode import batches, contexts
from engine.bench.peers import peers
from engine.bench.prefill import prefill
from engine.bench.reply import reply
from engine.bench.resume import resume
from engine.bench.start import start
from engine.bench.subject import loaded, machine, running, subject, threads_of
from engine.bench.tiers import tiers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.bench.rows import Plan, Row
    from engine.bench.subject import Running

# with the model of the plan, and, once it is given up, with others
WITH_MODEL: dict[str, Callable[[Plan, Running], Iterator[Row]]] = {
    "reply": reply,
    "context": contexts,
    "prefill": prefill,
    "batch": batches,
    "resume": resume,
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
    its = yield from running(model)
    for table in wanted:
        if table in WITH_MODEL:
            yield from WITH_MODEL[table](plan, its)
    del model, its
    for table in wanted:
        if table in ALONE:
            yield from ALONE[table](plan)
