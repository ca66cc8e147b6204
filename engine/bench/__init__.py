"""Measures a model on the machine that it runs on: `run(Plan(path))` yields rows. Prints nothing.

Importing this loads no torch; `python -m engine.bench MODEL` prints the rows as plain tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bench.rows import Plan, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TABLES", "Plan", "Row", "run"]

TABLES = ("start", "reply", "stream", "context", "prefill", "batch", "resume", "tiers", "peers")


def run(plan: Plan) -> Iterator[Row]:
    """The machine and the model, then the rows of each table of the plan (of all, if it names none).

    To be run to its end on one thread: that one computes, with the plan's number of threads.

    Raises:
        EngineError: the model cannot be loaded in the form asked for.
    """
    from engine.bench.tables import measured

    wanted = tuple(each for each in TABLES if not plan.tables or each in plan.tables)
    yield from measured(plan, wanted)
