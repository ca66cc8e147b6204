"""Decoding ahead: model, sampler and the token's way back run on the device, a step before the host reads it.

A `Stepper` holds one batch in buffers of its own. A `DecodeGraph` queues steps on it, each of which feeds the
tokens that the one before drew, and reads what was drawn a step later. On CUDA a step is one graph, replayed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from engine.ops.sample import AHEAD, Rows, sample_rows
from engine.sampling import uncounted, uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from engine.models.state import State
    from engine.sampling import SamplerState
    from engine.tokenizer import Tokenizer
    from engine.types import SamplingParams

DEPTH = 2  # steps that may be queued and not read
WARMUPS = 2  # steps before a capture: what is compiled or set up lazily must not be captured


class Stepper(Protocol):
    """One batch in static buffers. `step` may be captured: it neither allocates nor waits for the device.

    Attributes:
        tokens: int64 [B], fed by the next step.  logits: fp32 [B,O], of the last one.
    """

    tokens: Tensor
    logits: Tensor

    def load(self, state: State) -> None: ...

    def state(self) -> State:
        """A copy."""
        ...

    def step(self) -> None: ...


class _Stepping(Protocol):
    def zero_state(self, batch: int = 1) -> State: ...

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]: ...


class PlainStepper:
    """Any model's `step`, between buffers that stay where they are. A capture gives it memory of its own."""

    def __init__(self, model: _Stepping, batch: int = 1) -> None:
        self._model, self._held = model, model.zero_state(batch)
        device = next(iter(self._held.tensors.values())).device
        self.tokens = torch.zeros(batch, dtype=torch.int64, device=device)
        logits, _ = model.step(self.tokens, self._held)
        self.logits = torch.empty_like(logits, dtype=torch.float32)

    def load(self, state: State) -> None:
        for name, x in self._held.tensors.items():
            x.copy_(state.tensors[name])

    def state(self) -> State:
        return self._held.clone()

    def step(self) -> None:
        logits, state = self._model.step(self.tokens, self._held)
        self.logits.copy_(logits)
        self.load(state)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One step's outcome: a token for each row (`NONE`: no finite logit), and fp32 logits [B,O] if kept."""

    tokens: tuple[int, ...]
    logits: Tensor | None


class DecodeGraph:
    """A stepper, samplers for its rows, and the queue between device and host.

    `begin`, then `queue` and `read` in turns, `queue` up to `DEPTH` ahead. `state` copies the state after the
    step queued last: what has consumed every token but those that this step drew.

    Attributes:
        batch, vocab: B, O.
    """

    def __init__(self, stepper: Stepper, exempt: Tensor) -> None:
        """`exempt` [O] as `exempt_ids` gives it, on the stepper's device."""
        batch, O = stepper.logits.shape  # noqa: E741  the vocabulary's letter
        device = stepper.logits.device
        self.batch = batch
        self._stepper, self._rows = stepper, Rows.empty(batch, exempt)
        self._drawn = torch.zeros(batch, dtype=torch.int64, device=device)
        self._told = _host(device, (DEPTH, batch), torch.int64)
        self._kept: Tensor | None = None
        self._device, self.vocab = device, O
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._samplers: tuple[SamplerState, ...] = ()
        self._queued, self._keeps = 0, False
        self._launch = captured(self._step) if device.type == "cuda" else self._step

    def begin(
        self,
        state: State,
        token: int,
        samplers: Sequence[SamplerState],
        params: SamplingParams,
        added: Tensor,
        *,
        keep_logits: bool = False,
    ) -> None:
        """Every row goes on from `state` (batch 1), whose next token is `token`.

        Args:
            samplers: one for each row.  added: [O], see `Rows`.
            keep_logits: `read` gives them, too.
        """
        self._stepper.load(state.select([0] * self.batch))
        self._stepper.tokens.fill_(token)
        for row, sampler in enumerate(samplers):
            self._rows.begin(row, params, added, sampler.counts)
        self._samplers, self._queued, self._keeps = tuple(samplers), 0, keep_logits
        self._waiting.clear()
        if keep_logits and self._kept is None:
            self._kept = _host(self._device, (DEPTH, self.batch, self.vocab), torch.float32)

    def change(self, row: int, params: SamplingParams, added: Tensor | None = None) -> None:
        """Other params, and other `added` [O] if given, from the next step queued on."""
        self._rows.change(row, params, added)

    def queue(self) -> None:
        """One more step for every row; at most `DEPTH` may wait to be read."""
        if self._queued % AHEAD == 0:
            self._rows.foresee([self._chances(each) for each in self._samplers])
        self._launch()
        slot = self._queued % DEPTH
        self._told[slot].copy_(self._drawn, non_blocking=True)
        if self._keeps and self._kept is not None:
            self._kept[slot].copy_(self._stepper.logits, non_blocking=True)
        self._waiting.append((slot, queued(self._device)))
        self._queued += 1

    def read(self) -> Drawn:
        """What the oldest step not read yet has drawn; waits for it."""
        slot, wait = self._waiting.popleft()
        wait()
        kept = self._kept[slot].clone() if self._keeps and self._kept is not None else None
        return Drawn(tuple(self._told[slot].tolist()), kept)

    def state(self) -> State:
        """A copy of the state after the step queued last, of batch B."""
        return self._stepper.state()

    def _chances(self, sampler: SamplerState) -> list[float]:
        first = sampler.position + self._queued
        return [uniform(sampler.seed, position) for position in range(first, first + AHEAD)]

    def _step(self) -> None:
        """What is captured."""
        self._stepper.step()
        sample_rows(self._stepper.logits, self._rows, self._drawn)
        torch.clamp(self._drawn, min=0, out=self._stepper.tokens)  # NONE is no row of the embedding


def _host(device: torch.device, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory that a device copies to without the host waiting."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")


def queued(device: torch.device) -> Callable[[], None]:
    """A function that waits, without turning the processor, for all that is queued by now."""
    if device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event(blocking=True)
    event.record()
    return event.synchronize


def captured(step: Callable[[], object]) -> Callable[[], None]:
    """The step as a CUDA graph; replayed on the current stream."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        for _ in range(WARMUPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        step()
    return partial(_replay, graph, step)


def _replay(graph: torch.cuda.CUDAGraph, _held: Callable[[], object]) -> None:
    """What was captured is held, too: a graph knows addresses, not tensors."""
    graph.replay()


def exempt_ids(tokenizer: Tokenizer, vocab: int) -> Tensor:
    """uint8 [O]: 1 for the ids that no penalty counts."""
    ids = [token for token in range(min(vocab, tokenizer.sampleable)) if uncounted(tokenizer, token)]
    exempt = torch.zeros(vocab, dtype=torch.uint8)
    exempt[ids] = 1
    return exempt
