"""The model that is measured, loaded whole, and the tokens that it is fed."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.bench.rows import Machine, Subject
from engine.devices import physical_cores
from engine.weights.load import load

if TYPE_CHECKING:
    from torch import Tensor

    from engine.bench.rows import Plan
    from engine.models.model import Model
    from engine.models.state import State

SEED = 7


def loaded(plan: Plan, dtype: str | None = None) -> Model:
    """The model of a plan, in its own form or in another.  Raises: EngineError (see `load`)."""
    loading = load(plan.path, device=plan.device, dtype=dtype or plan.dtype)
    while True:
        try:
            next(loading)
        except StopIteration as end:
            return end.value


def threads_of(plan: Plan) -> int:
    return plan.threads or physical_cores()


def subject(plan: Plan, model: Model) -> Subject:
    spec = model.spec
    return Subject(
        plan.path,
        spec.arch,
        spec.n_layer,
        spec.n_embd,
        spec.vocab_size,
        model.tier,
        model.nbytes,
        sum(x.nbytes for x in model.zero_state().tensors.values()),
    )


def machine(plan: Plan, device: torch.device) -> Machine:
    """Where this runs, now."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return Machine(
        _processor(),
        physical_cores(),
        threads_of(plan),
        name,
        platform.platform(),
        platform.python_version(),
        torch.__version__,
        os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def ids(model: Model, *shape: int) -> Tensor:
    """Token ids of any shape, int64, the same at every call."""
    made = torch.randint(0, model.spec.vocab_size, shape, generator=torch.Generator().manual_seed(SEED))
    return made.to(model.device)


class Stepper:
    """One token at a time for `batch` sequences, each after the one before."""

    def __init__(self, model: Model, state: State) -> None:
        self._model, self._state = model, state
        self._tokens = ids(model, state.batch)

    def step(self) -> None:
        _, self._state = self._model.step(self._tokens, self._state)
