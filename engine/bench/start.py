"""From a new process to the first token's logits, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING

from engine.bench.rows import LeftOut, StartRow

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from engine.bench.rows import Plan

PATIENCE = 600.0  # seconds for a large model on a slow disk
SPAWN = multiprocessing.get_context("spawn")


def start(plan: Plan) -> StartRow | LeftOut:
    """Starts twice: the first one warms the page cache and converts weights that need it."""
    first = _started(plan)
    return _started(plan) if isinstance(first, StartRow) else first


def _started(plan: Plan) -> StartRow | LeftOut:
    ours, theirs = SPAWN.Pipe(duplex=False)
    child = SPAWN.Process(target=_child, args=(plan, theirs, time.time()), daemon=True)
    child.start()
    theirs.close()
    try:
        found = ours.recv() if ours.poll(PATIENCE) else "TimeoutError"
    except EOFError:
        found = "EOFError"
    finally:
        child.kill()
        child.join()
        ours.close()
    return found if isinstance(found, StartRow) else LeftOut("start", plan.path, found)


def _child(plan: Plan, told: Connection, begun: float) -> None:
    """Sends a `StartRow`, or the name of the error."""
    try:
        told.send(_measured(plan, begun))
    except Exception as error:
        told.send(type(error).__name__)


def _measured(plan: Plan, begun: float) -> StartRow:
    import torch

    from engine.bench.clock import peak_bytes, resident_bytes
    from engine.bench.subject import ids, just_loaded, threads_of

    torch.set_num_threads(threads_of(plan))
    imported, before = time.time(), resident_bytes()
    with torch.inference_mode():
        model = just_loaded(plan)
        ready = time.time()
        logits, _ = model.step(ids(model, 1), model.zero_state())
        logits.argmax().item()  # waits for the device
    done, peak = time.time(), peak_bytes()
    memory = peak - before if peak is not None and before is not None else None
    return StartRow(imported - begun, ready - begun, done - begun, memory)
