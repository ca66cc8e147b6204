"""wkv7 on a card: ours in each of its settings against fla's chunk_rwkv7, forward and with the backward.

    pip install fla-core==0.6.0 einops
    python -m tests.bench.wkv_gpu results.jsonl [row …]

All get the same tensors in one process. First y and the gradients are compared with ours in fp32; then they
take turns, and a row has the median of the rounds' ratios (the peer's time over ours) for every setting, and
for the one that the program takes on such a card: that one is held to the bar. A finished row is appended to
the file, and a row that the file has is not measured again. Without fla ours are measured alone. `tiny` tries
the script in Triton's interpreter (TRITON_INTERPRET=1), on a CPU.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import normalize

from engine.models.state import relative_difference
from engine.ops.cards import card_of
from engine.ops.chunk_states.settings import EXACT, FAST, Settings, settings_for
from engine.ops.wkv7.triton_chunk import wkv7_triton_chunk
from tests.bench.gpu.results import Results
from tests.bench.gpu.timing import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.ops.cards import Card

    Op = Callable[..., tuple[Tensor, Tensor]]
    Way = Callable[[Op, list[Tensor]], list[Tensor]]

N, BAR = 64, 1.0
SETTINGS = {
    "32 tokens": FAST,
    "32 tokens, 8 warps": FAST._replace(warps=8),
    "32 tokens, blocks of 32": FAST._replace(block=32),
    "16 tokens": FAST._replace(chunk=16, block=32, warps=2),
    "64 tokens": Settings(chunk=64, block=32, precision="tf32", warps=8),
    "fp32": EXACT,
}


def arguments(B: int, T: int, H: int, device: torch.device) -> list[Tensor]:
    """As a model makes them: r, log_w, k, v, a, b, state."""
    rng = torch.Generator(device).manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, device=device)

    r, k, v = (randn(B, T, H, N).bfloat16() for _ in range(3))
    kappa = normalize(randn(B, T, H, N), dim=-1)
    log_w = -0.606531 * torch.sigmoid(2 * randn(B, T, H, N))
    b = kappa * torch.sigmoid(randn(B, T, H, N))
    made = [r, log_w, k, v, (-kappa).bfloat16(), b.bfloat16(), randn(B, H, N, N)]
    return [x.requires_grad_() for x in made]


def peer(device: torch.device) -> Op | None:
    try:
        from fla.ops.rwkv7 import chunk_rwkv7  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    if device.type != "cuda":
        return None

    def called(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        *along, state = inputs
        bound = {"lower_bound": -0.6065306597633104, "safe_gate": True, "chunk_size": 64}
        y, last = chunk_rwkv7(*along, initial_state=state.mT, output_final_state=True, **bound)
        return y, last.mT

    return called


def forward(op: Op, inputs: list[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        return list(op(*inputs))


def both(op: Op, inputs: list[Tensor]) -> list[Tensor]:
    """Forward and backward, the gradient of the first state included."""
    y, state = op(*inputs)
    return [y, state, *torch.autograd.grad((y, state), inputs, (torch.ones_like(y), torch.ones_like(state)))]


def ours(settings: Settings) -> Op:
    return partial(wkv7_triton_chunk, lengths=None, settings=settings)


def measure(shape: tuple[int, int, int], way: Way, settings: dict[str, Settings]) -> dict[str, Any]:
    """Milliseconds and errors of each setting and of the peer, and the ratios to the peer."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    inputs = arguments(*shape, device)
    contenders = {name: ours(each) for name, each in settings.items()}
    theirs = peer(device)
    contenders |= {"fla": theirs} if theirs else {}
    exact = [x.detach().float().requires_grad_() for x in inputs]
    reference = way(ours(EXACT), exact)
    errors = {
        name: max(relative_difference(x.float(), y) for x, y in zip(way(op, inputs), reference, strict=True))
        for name, op in contenders.items()
    }
    times = in_turns({name: partial(way, op, inputs) for name, op in contenders.items()}, device)
    result: dict[str, Any] = {"ms": {name: 1e3 * times.median(name) for name in contenders}, "error": errors}
    if theirs is None:
        return result
    return result | judged({name: times.ratios(name, "fla") for name in settings}, way, card_of(device))


def judged(ratios: dict[str, list[float]], way: Way, card: Card) -> dict[str, Any]:
    """By setting, of all rounds; what the program takes on that card has a bar, with the backward in it."""
    medians = {name: statistics.median(its) for name, its in ratios.items()}
    taken = settings_for(card, torch.bfloat16)
    name = next((each for each, its in SETTINGS.items() if its == taken), "")
    found = {"ratio": medians, "worst": {each: min(its) for each, its in ratios.items()}, "taken": name}
    return found | ({"bar": BAR, "missed": medians.get(name, 0.0) < BAR} if way is both else {})


def _row(shape: tuple[int, int, int], way: Way) -> Callable[[], dict[str, Any]]:
    return partial(measure, shape, way, SETTINGS)


SHAPES = [(1, 4096, 32), (8, 4096, 32), (1, 1024, 32), (8, 1024, 32)]  # B, T, H
ROWS: dict[str, Callable[[], dict[str, Any]]] = {
    f"{way.__name__} B{B} T{T} H{H}": _row((B, T, H), way) for way in (both, forward) for B, T, H in SHAPES
} | {"tiny": partial(measure, (1, 2, 1), both, {"fp32": EXACT, "32 tokens": FAST})}


def main() -> None:
    results = Results(Path(sys.argv[1]))
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    for name in sys.argv[2:] or [each for each in ROWS if each != "tiny"]:
        if name not in results.rows:
            results.add(name, ROWS[name]() | {"card": card})
            print(name, results.rows[name], flush=True)


if __name__ == "__main__":
    main()
