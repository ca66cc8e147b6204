"""The model that is measured, loaded whole, and the tokens that it is fed."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.bench.clock import Clock
from engine.bench.rows import LeftOut, Machine, Subject
from engine.bench.spelled import Spelled
from engine.devices import physical_cores
from engine.fast_path import graphs_of
from engine.graphs import captured
from engine.large_pages import quickening
from engine.steppers import stepper_of
from engine.weights.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from torch import Tensor

    from engine.bench.rows import Plan
    from engine.graph_pool import GraphPool
    from engine.models.model import Model
    from engine.models.state import State

SEED = 7


def loaded(plan: Plan, dtype: str | None = None) -> Model:
    """The model of a plan, in its own form or in another, as it is a few seconds after it was loaded.

    Raises:
        EngineError: see `load`.
    """
    model = just_loaded(plan, dtype)
    settle(model)
    return model


def just_loaded(plan: Plan, dtype: str | None = None) -> Model:
    """The same model as it answers first; see `loaded`."""
    cache = Path(plan.cache) if plan.cache is not None else None
    loading = load(plan.path, device=plan.device, dtype=dtype or plan.dtype, cache=cache)
    while True:
        try:
            next(loading)
        except StopIteration as end:
            return end.value


def settle(model: Model) -> None:
    """What is done to a model while nobody waits."""
    for _ in quickening(model):
        continue


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


@dataclass(frozen=True, slots=True)
class Running:
    """A loaded model, its clock, and decode graphs where it has a fast path (see `engine.fast_path`)."""

    model: Model
    clock: Clock
    graphs: GraphPool | None = None

    def stepper(self, state: State) -> Callable[[], None]:
        """Feeds a token to each row of `state`, and again, each after the one before."""
        tokens = ids(self.model, state.batch)
        if self.graphs is None:
            return _Plain(self.model, state, tokens).step
        stepper = stepper_of(self.model, state.batch)
        stepper.load(state)
        stepper.tokens.copy_(tokens)
        return captured(stepper.step)


def running(model: Model) -> Generator[LeftOut, None, Running]:
    """Yields why a card's fast path is not taken, if it is not."""
    making = graphs_of(model, Spelled(model.spec.vocab_size), None)
    while True:
        try:
            told = next(making)
        except StopIteration as end:
            return Running(model, Clock(model.device), end.value)
        yield LeftOut("fast path", told.card, told.reason)


class _Plain:
    def __init__(self, model: Model, state: State, tokens: Tensor) -> None:
        self._model, self._state, self._tokens = model, state, tokens

    def step(self) -> None:
        _, self._state = self._model.step(self._tokens, self._state)
