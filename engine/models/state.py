"""The recurrent state as a value: named tensors, batch first. The model class says which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.errors import StateMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a model remembers after some tokens. Nobody changes the tensors of a state in place.

    Attributes:
        arch: the architecture it belongs to.
        tensors: by name; the axes stand at the name's end ("wkv_BLHVK"), B always first.
    """

    arch: str
    tensors: dict[str, Tensor]

    @property
    def batch(self) -> int:
        return next(iter(self.tensors.values())).shape[0]

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in self.tensors.values())

    def _map(self, change: Callable[[Tensor], Tensor]) -> State:
        return State(self.arch, {name: change(x) for name, x in self.tensors.items()})

    def clone(self) -> State:
        """A copy that shares no memory with this one."""
        return self._map(lambda x: x.detach().clone())

    def detached(self) -> State:
        """The same values, without the gradients that led to them."""
        return self._map(lambda x: x.detach())

    def to(self, device: torch.device | str) -> State:
        return self._map(lambda x: x.to(device))

    def row(self, index: int) -> State:
        """One sequence of the batch, as a state of batch 1 with memory of its own."""
        return self.select([index])

    def select(self, rows: Sequence[int]) -> State:
        """The given sequences, in that order; one may come several times."""
        return self._map(lambda x: x[torch.as_tensor(rows, device=x.device)])

    def max_difference(self, other: State) -> float:
        """The largest relative difference of any tensor (`relative_difference`)."""
        check_same_layout(self, other)
        return max(
            (relative_difference(x, other.tensors[name]) for name, x in self.tensors.items()), default=0.0
        )


def relative_difference(x: Tensor, reference: Tensor) -> float:
    """max |x − reference| / max |reference|; 0 for two empty tensors."""
    if x.numel() == 0:
        return 0.0
    x, reference = x.detach().double().cpu(), reference.detach().double().cpu()
    return float((x - reference).abs().max() / reference.abs().max().clamp_min(1e-30))


def layout(state: State) -> str:
    """Architecture, names, shapes and dtypes in words, for errors."""
    parts = (f"{n}{list(x.shape)} {str(x.dtype).removeprefix('torch.')}" for n, x in state.tensors.items())
    return f"{state.arch}: " + ", ".join(parts)


def check_same_layout(state: State, other: State) -> None:
    """Raises StateMismatch unless both have the same architecture, names and shapes."""
    shapes = {name: x.shape for name, x in state.tensors.items()}
    if state.arch != other.arch or shapes != {name: x.shape for name, x in other.tensors.items()}:
        raise StateMismatch(layout(state), layout(other))


def stack(states: Sequence[State]) -> State:
    """Several states as one batch, in order."""
    first = states[0]
    for other in states[1:]:
        check_same_layout(first.select([0]), other.select([0]))
    return State(first.arch, {name: torch.cat([s.tensors[name] for s in states]) for name in first.tensors})
