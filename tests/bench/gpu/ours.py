"""What of ours is measured: a step as a graph, the whole loop, a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.graphs import DecodeGraph, PlainStepper, captured
from engine.sampling import SamplerState
from engine.steppers import stepper_of
from engine.types import SamplingParams

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.graphs import Stepper
    from engine.models.model import Model
    from engine.models.state import State

CHUNK = 1024  # tokens read at once
PARAMS = SamplingParams(temperature=1.0, top_p=0.5, presence_penalty=0.2, frequency_penalty=0.2)


def step(model: Model, batch: int = 1, state: State | None = None) -> Callable[[], object]:
    """A token for each row, after `state`; no sampling, as the peers' own programs measure it."""
    stepper = _stepper(model, batch)
    if state is not None:
        stepper.load(state)
    return replayed(stepper.step, model.device)


def fed(model: Model, tokens: int) -> State:
    """The state after so many tokens, all of them read."""
    state = model.zero_state()
    for part in (torch.arange(tokens, device=model.device) % model.spec.vocab_size)[None].split(CHUNK, dim=1):
        _, state = model.forward(part, state)
    return state


def replayed(step: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """As a graph, where there are graphs."""
    return captured(step) if device.type == "cuda" else step


def _stepper(model: Model, batch: int) -> Stepper:
    return stepper_of(model, batch) if model.device.type == "cuda" else PlainStepper(model, batch)


def loop(model: Model) -> Callable[[], object]:
    """From a token to the next one, drawn with penalties and read by the host."""
    exempt = torch.zeros(model.spec.vocab_size, dtype=torch.uint8, device=model.device)
    graph = DecodeGraph(_stepper(model, 1), exempt)
    added = torch.zeros(model.spec.vocab_size)
    graph.begin(model.zero_state(1), 1, (SamplerState(1),), PARAMS, added)
    graph.queue()

    def one() -> tuple[int, ...]:
        graph.state()  # what a chat keeps to go back to
        graph.queue()
        return graph.read().tokens

    return one


def prompt(model: Model, tokens: int, batch: int = 1) -> Callable[[], object]:
    ids = torch.arange(batch * tokens, device=model.device).view(batch, tokens) % model.spec.vocab_size
    state = model.zero_state(batch)
    return lambda: model.forward(ids, state)
