"""Exchanging an adapter of a loaded model, beside loading the model; and decoding with one, beside without.

    python -m tests.bench.adapters [rounds] [width] [layers] [device] [tiers …]

A random bf16 model of a released one's width, depth and vocabulary (768 12: 0.1B), and two LoRAs of rank 32
on every projection and both matrices of the channel mix. Every round loads the model (the file's pages are in
memory), puts one LoRA in, exchanges it for the other, takes it out, and decodes with and without it in turns.
Prints medians, and the ratio of the slowest exchange to a load.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine.weights.adapt import Change, Changing
from engine.weights.adapters import read_adapter
from engine.weights.archive import open_archive
from engine.weights.load import load
from engine.weights.reading import Reading
from tests.bench.decode_rows import sparse_tensors
from tests.engine import tiny

if TYPE_CHECKING:
    from engine.models.model import Model

RANK, ALPHA, TOKENS, WARM = 32, 64.0, 20, 3


def result(generator: Any) -> Any:
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def seconds(work: Any, device: str) -> tuple[float, Any]:
    begun = time.perf_counter()
    found = work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - begun, found


def lora(path: Path, shapes: dict[str, tuple[int, ...]], seed: int) -> Change:
    made: dict[str, torch.Tensor] = {}
    rng = torch.Generator().manual_seed(seed)
    for name, shape in shapes.items():
        if ".att." in name or ".ffn." in name:
            module = name.removesuffix(".weight")
            if name.endswith(".weight") and len(shape) == 2:
                made[f"{module}.lora_A"] = 0.01 * torch.randn(RANK, shape[1], generator=rng)
                made[f"{module}.lora_B"] = 0.01 * torch.randn(shape[0], RANK, generator=rng)
    torch.save(made, path)
    return Change(read_adapter(path), ALPHA)


def decode(model: Model) -> float:
    state, begun = model.zero_state(), 0.0
    for token in range(WARM + TOKENS):
        if token == WARM:
            begun = time.perf_counter()
        _, state = model.step(torch.tensor([token], device=model.device), state)
    return (time.perf_counter() - begun) / TOKENS


def round_of(path: Path, device: str, tier: str, changes: list[Change]) -> dict[str, float]:
    took, model = seconds(lambda: result(load(path, device=device, dtype=tier)), device)
    found = {"load": took, "decode without": decode(model)}
    reading = Reading(open_archive(path), model.spec, model.tier, model.device, lambda: False)
    for name, before, after in (
        ("on", None, changes[0]),
        ("another", changes[0], changes[1]),
        ("off", changes[1], None),
    ):
        model.release()
        changing = Changing(reading, model.tensors, None)
        found[name], _ = seconds(lambda a=before, b=after, c=changing: result(c.switch(a, b)), device)
        if name == "on":
            found["decode with"] = decode(model)
    return found


def main() -> None:
    words = sys.argv[1:]
    rounds, width, layers = (*map(int, words[:3]), *(3, 768, 12)[len(words[:3]) :])
    device, tiers = (words[3] if len(words) > 3 else "cpu"), words[4:] or ["bf16", "int8"]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        made = sparse_tensors(width, layers, vocabulary=65_536)
        path = tiny.save(Path(name) / "model.safetensors", made, torch.bfloat16)
        shapes = {key: tuple(x.shape) for key, x in made.items()}
        changes = [lora(Path(name) / f"{seed}.pth", shapes, seed) for seed in (1, 2)]
        for tier in tiers:
            every = [round_of(path, device, tier, changes) for _ in range(rounds + 1)][1:]
            median = {what: statistics.median(each[what] for each in every) for what in every[0]}
            print(f"{tier}, L{layers} C{width} on {device}, load {os.getloadavg()[0]:.1f}:")
            print("  " + ", ".join(f"{what} {value:.3f} s" for what, value in median.items()))
            slowest = max(median[what] for what in ("on", "another", "off"))
            print(f"  slowest exchange / load: {slowest / median['load']:.2f}")
            print(f"  speed with / without: {median['decode without'] / median['decode with']:.3f}")


if __name__ == "__main__":
    main()
