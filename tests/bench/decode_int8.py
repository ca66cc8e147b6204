"""Decoding with 8-bit weights, beside the same model in bf16 (and in fp32, if asked for).

    python -m tests.bench.decode_int8 [tokens] [width] [layers] [threads] [tiers …]

A random model of a released one's width, depth and vocabulary (768 12: 0.1B, 1024 24: 0.4B), whose hidden
units are zero as often as a trained model's (`decode_rows`). The tiers are loaded from one bf16 file in one
process and take a token in turn; the others are compared with the first. Prints each median, the median of
the ratios of a turn, and how busy the machine was; then the same of reading 256 tokens at once.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.weights.load import load
from tests.bench.decode_rows import measure, sparse_tensors, zeros_in
from tests.engine import tiny

if TYPE_CHECKING:
    from engine.models.model import Model

VOCABULARY = 65_536
PROMPT = 256
PROMPTS = 3


def loaded(path: Path, tier: str) -> Model:
    loading = load(path, device="cpu", dtype=tier)
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            return stop.value


def read(models: list[Model]) -> list[list[float]]:
    """Seconds of each prompt, by model; they take turns."""
    tokens = tiny.ids(models[0].spec, PROMPT)
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(PROMPTS):
        for model, its in zip(models, seconds, strict=True):
            start = time.perf_counter()
            model.forward(tokens, model.zero_state())
            its.append(time.perf_counter() - start)
    return seconds


def show(what: str, tiers: list[str], seconds: list[list[float]]) -> None:
    print(f"  {what}:")
    for tier, its in zip(tiers, seconds, strict=True):
        ratio = statistics.median(a / b for a, b in zip(seconds[0], its, strict=True))
        print(f"    {tier}: {statistics.median(its) * 1e3:.1f} ms, {ratio:.2f} × as fast as {tiers[0]}")


def main() -> None:
    words = [int(word) for word in sys.argv[1:5]]
    tokens, width, layers, threads = (*words, *(40, 768, 12, 1)[len(words) :])
    tiers = sys.argv[5:] or ["bf16", "int8"]
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        made = sparse_tensors(width, layers, VOCABULARY)
        path = tiny.save(Path(name) / "model.safetensors", made, torch.bfloat16)
        del made
        models = [loaded(path, tier) for tier in tiers]
        share = zeros_in(models[0])
        decoding, reading = measure(models, tokens), read(models)
        sizes = ", ".join(
            f"{tier} {model.nbytes / 1e6:.0f} MB" for tier, model in zip(tiers, models, strict=True)
        )
    busy = f"{threads} thread(s), load {os.getloadavg()[0]:.1f}"
    print(f"C {width}, L {layers}, {share:.0%} zeros, {busy}; {sizes}")
    show(f"a token (of {tokens})", tiers, decoding)
    show(f"{PROMPT} tokens at once", tiers, reading)


if __name__ == "__main__":
    main()
