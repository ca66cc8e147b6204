"""How near a token comes to what memory gives: its bytes in a second, in turn with plain streams."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from engine.bench.rows import LeftOut, StreamRow
from engine.bench.subject import ids
from engine.weights.fit import free_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from engine.bench.rows import Plan
    from engine.bench.subject import Running
    from engine.models.model import Model

TURNS = 5
ROWS, WIDTH = 1 << 17, 1 << 11  # 1 GiB of fp32
VALUE = ".ffn.value.weight"  # of its rows a token reads those of units that are not zero


def stream(plan: Plan, running: Running) -> Iterator[StreamRow | LeftOut]:
    """One token's bytes in a second, in turn with the better of a sum and a product of 1 GiB."""
    model, clock = running.model, running.clock
    free = free_bytes(str(model.device))
    if free is not None and free < 1.5 * 4 * ROWS * WIDTH:
        yield LeftOut("stream", "1 GiB", "OutOfMemory")
        return
    step, streams = running.stepper(model.zero_state()), _streams(model.device)
    times = max(1, int(plan.seconds / TURNS / clock.median(step, plan.seconds)))
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(clock.once(step, times) / times)
        theirs.append(min(clock.once(each) for each in streams) / (4 * ROWS * WIDTH))
    zeros = share_of_zeros(model)
    nbytes = token_bytes(model, zeros)
    share = statistics.median(nbytes / a * b for a, b in zip(ours, theirs, strict=True))
    yield StreamRow(nbytes, zeros, nbytes / statistics.median(ours), 1 / statistics.median(theirs), share)


def _streams(device: torch.device) -> tuple[Callable[[], Tensor], ...]:
    numbers, vector = torch.ones(ROWS, WIDTH, device=device), torch.ones(WIDTH, device=device)
    return numbers.sum, lambda: torch.mv(numbers, vector)


def token_bytes(model: Model, zeros: float) -> int:
    """All weights but the embedding, of which a row is read, and what `zeros` leaves out; the state twice."""
    values = sum(x.nbytes for name, x in model.tensors.items() if name.endswith(VALUE))
    state = sum(x.nbytes for x in model.zero_state().tensors.values())
    return round(model.nbytes - model.tensors["emb.weight"].nbytes - zeros * values) + 2 * state


def share_of_zeros(model: Model, tokens: int = 32) -> float:
    """Of hidden units, for the token that `Running.stepper` feeds again and again."""
    counted = _Zeros(model.spec.n_ffn)
    with counted:
        model.forward(ids(model, 1).expand(1, tokens), model.zero_state())
    return counted.zeros / max(1, counted.all)


class _Zeros(TorchFunctionMode):
    """Counts units that are zero behind a ReLU while it is on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width
        self.zeros = self.all = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in ("relu", "relu_") and found.shape[-1] == self._width:
            self.zeros += int((found == 0).sum())
            self.all += found.numel()
        return found
