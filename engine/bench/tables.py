"""The tables in their order, on one loaded model or on models of their own."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from engine.bench.decode import batches, contexts
from engine.bench.peers import peers
from engine.bench.prefill import prefill
from engine.bench.reply import reply
from engine.bench.resume import resume
from engine.bench.start import start
from engine.bench.stream import stream
from engine.bench.subject import loaded, machine, running, subject, threads_of
from engine.bench.tiers import tiers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.bench.rows import Plan, Row
    from engine.bench.subject import Running

# with the model of the plan, and, once it is given up, with others
WITH_MODEL: dict[str, Callable[[Plan, Running], Iterator[Row]]] = {
    "reply": reply,
    "stream": stream,
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
        with torch.inference_mode(), _cache(plan) as cache:
            yield from _rows(replace(plan, cache=cache), wanted)
    finally:
        torch.set_num_threads(before)


@contextmanager
def _cache(plan: Plan) -> Iterator[str]:
    if plan.cache is not None:
        yield plan.cache
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield folder


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
