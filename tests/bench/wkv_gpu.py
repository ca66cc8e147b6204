"""wkv7 on a card: ours in each of its settings against fla's chunk_rwkv7, forward and with the backward.

    pip install fla-core==0.6.0 einops
    python -m tests.bench.wkv_gpu results.jsonl

Both get the same tensors in one process. First y and the gradients are compared with ours in fp32; then
they take turns, and each row has the median of the rounds' ratios (peer's time over ours). A finished row
is appended to the file, and a row that the file has is not measured again. Without fla ours is measured
alone.
"""

from __future__ import annotations

import json
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import normalize

from engine.models.state import relative_difference
from engine.ops.chunk_states.settings import EXACT, FAST, Settings
from engine.ops.wkv7.triton_chunk import wkv7_triton_chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    Op = Callable[..., tuple[Tensor, Tensor]]

ROUNDS, CALLS, N = 7, 10, 64
SHAPES = [(1, 1024, 32), (1, 4096, 32), (8, 1024, 32), (8, 4096, 16)]  # B, T, H
SETTINGS = {
    "32 tokens": FAST,
    "32 tokens, 8 warps": FAST._replace(warps=8),
    "32 tokens, blocks of 32": FAST._replace(block=32),
    "16 tokens": FAST._replace(chunk=16, block=32, warps=2),
    "64 tokens": Settings(chunk=64, block=32, precision="tf32", warps=8),
    "fp32": EXACT,
}


def arguments(B: int, T: int, H: int) -> list[Tensor]:
    """As a model makes them: r, log_w, k, v, a, b, state."""
    rng = torch.Generator("cuda").manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, device="cuda")

    r, k, v = (randn(B, T, H, N).bfloat16() for _ in range(3))
    kappa = normalize(randn(B, T, H, N), dim=-1)
    log_w = -0.606531 * torch.sigmoid(2 * randn(B, T, H, N))
    b = kappa * torch.sigmoid(randn(B, T, H, N))
    made = [r, log_w, k, v, (-kappa).bfloat16(), b.bfloat16(), randn(B, H, N, N)]
    return [x.requires_grad_() for x in made]


def peer() -> Op | None:
    try:
        from fla.ops.rwkv7 import chunk_rwkv7  # pyright: ignore[reportMissingImports]
    except ImportError:
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


def seconds(call: Callable[[], object]) -> float:
    """Of one call, the mean of CALLS."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(CALLS):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / CALLS


def in_turns(calls: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Each call's seconds in every round; each is warmed first, which compiles (and tunes) it."""
    for call in calls.values():
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    rounds = [{name: seconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    return {name: [each[name] for each in rounds] for name in calls}


def rows() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    for B, T, H in SHAPES:
        for way in (forward, both):
            for name, settings in SETTINGS.items():
                yield f"{way.__name__} B{B} T{T} H{H}: {name}", partial(measure, (B, T, H), way, settings)


def measure(
    shape: tuple[int, int, int], way: Callable[[Op, list[Tensor]], list[Tensor]], settings: Settings
) -> dict[str, Any]:
    inputs = arguments(*shape)
    ours = partial(wkv7_triton_chunk, lengths=None, settings=settings)
    exact = [x.detach().float().requires_grad_() for x in inputs]
    reference = way(partial(wkv7_triton_chunk, lengths=None, settings=EXACT), exact)

    def error(op: Op) -> float:
        pairs = zip(way(op, inputs), reference, strict=True)
        return max(relative_difference(x.float(), its) for x, its in pairs)

    theirs = peer()
    contenders = {"ours": ours} | ({"fla": theirs} if theirs else {})
    errors = {name: error(op) for name, op in contenders.items()}
    times = in_turns({name: partial(way, op, inputs) for name, op in contenders.items()})
    result: dict[str, Any] = {"ms": {name: 1e3 * statistics.median(each) for name, each in times.items()}}
    if theirs:
        ratios = sorted(f / o for f, o in zip(times["fla"], times["ours"], strict=True))
        result |= {"ratio": statistics.median(ratios), "worst": ratios[0]}
    return result | {"error": errors, "card": torch.cuda.get_device_name()}


def main(path: Path) -> None:
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {each["row"] for each in known}
    for row, measured in rows():
        if row in done:
            continue
        result = {"row": row} | measured()
        with path.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
