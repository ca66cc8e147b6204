"""Decoding with the channel mix's second matrix turned and its zeros skipped, beside the same model without.

    python -m tests.bench.decode_rows [tokens] [width] [layers]

A random bf16 model whose hidden units are zero as often as a trained model's (86 %): its second norm gets a
constant direction, and its keys are moved against it. Both forms of it are loaded from one file in one
process and take a token in turn. Prints the share of zeros that was seen, and the median of the ratios.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.models import block
from engine.ops.ffn_value import ffn_value
from engine.weights import reading
from engine.weights.load import load
from tests.engine import tiny

if TYPE_CHECKING:
    from engine.models.model import Model

ZEROS = 0.86


def sparse_tensors(width: int, layers: int, vocabulary: int = 20_000) -> dict[str, torch.Tensor]:
    """Keys see a normal number around −1.08 standard deviations, so ReLU leaves 14 % of them."""
    spec = tiny.spec(n_layer=layers, n_embd=width, head_size=64, vocab_size=vocabulary, rank=64)
    made = tiny.tensors(spec)
    below = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(ZEROS))
    for layer in range(layers):
        direction = torch.full((width,), 1.0)
        made[f"blocks.{layer}.ffn.x_k"] = torch.zeros(1, 1, width)
        made[f"blocks.{layer}.ln2.weight"] = torch.ones(width)
        made[f"blocks.{layer}.ln2.bias"] = direction.clone()
        key = torch.randn(4 * width, width) / width**0.5
        key -= key.mean(1, keepdim=True)
        made[f"blocks.{layer}.ffn.key.weight"] = key - below * direction / direction.square().sum()
    return made


def loaded(path: Path, turned_from: int) -> Model:
    reading.TURNED_FROM = turned_from
    loading = load(path, device="cpu", dtype="bf16")
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            return stop.value


def measure(models: list[Model], tokens: int) -> list[list[float]]:
    """Seconds of each token, by model; they take turns."""
    states = [model.zero_state() for model in models]
    seconds: list[list[float]] = [[] for _ in models]
    for token in range(tokens):
        for i, model in enumerate(models):
            start = time.perf_counter()
            _, states[i] = model.step(torch.tensor([token % 1000]), states[i])
            seconds[i].append(time.perf_counter() - start)
    return [each[2:] for each in seconds]


def zeros_in(model: Model) -> float:
    """The share of hidden units that are zero for one token."""
    seen: list[float] = []

    def counting(hidden: torch.Tensor, *weight: torch.Tensor) -> torch.Tensor:
        seen.append((hidden == 0).float().mean().item())
        return ffn_value(hidden, *weight)

    block.ffn_value = counting
    model.step(torch.tensor([7]), model.zero_state())
    block.ffn_value = ffn_value
    return statistics.mean(seen)


def main() -> None:
    words = [int(word) for word in sys.argv[1:4]]
    tokens, width, layers = (*words, *(60, 1024, 12)[len(words) :])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        path = tiny.save(Path(name) / "model.safetensors", sparse_tensors(width, layers), torch.bfloat16)
        models = [loaded(path, 1 << 60), loaded(path, 1 << 20)]
        assert models[1].tensors["blocks.0.ffn.value.weight"].stride() == (1, width)
        share = zeros_in(models[1])
        dense, rows = measure(models, tokens)
    ratio = statistics.median(a / b for a, b in zip(dense, rows, strict=True))
    print(f"C {width}, L {layers}, {share:.0%} zeros, {tokens} tokens:")
    print(f"  dense {statistics.median(dense) * 1e3:.1f} ms a token;")
    print(f"  with zeros skipped {statistics.median(rows) * 1e3:.1f} ms: {ratio:.2f} × as fast")


if __name__ == "__main__":
    main()
