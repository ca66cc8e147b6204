"""Seconds to load a model and memory taken, beside the `rwkv` package: bf16 on the CPU, processes in turn.

    python -m tests.bench.loading [rounds] [layers]

A random model of the 0.1B size is written into a temporary folder. Each round starts a process of each kind;
it imports its package first, then loads and feeds one token. Ours finds what the first round has converted
and compiled, as at every start but the first. Page cache warm. Prints medians and ratios.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SUFFIXES = {"ours .pth": ".pth", "ours .safetensors": ".safetensors", "rwkv": ".pth"}

_COMMON = """
import json, sys, time, torch
torch.set_num_threads(1)
def status(row):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(row))
path = sys.argv[1]
"""
_OURS = """
from pathlib import Path
from engine.weights.load import load
before, start = status("VmRSS"), time.perf_counter()
loading = load(path, device="cpu", dtype="bf16", cache=Path(sys.argv[2]))
try:
    while True:
        next(loading)
except StopIteration as stop:
    model = stop.value
with torch.inference_mode():
    model.step(torch.tensor([1]), model.zero_state())
"""
_THEIRS = """
import os
os.environ |= {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    from rwkv.model import RWKV
    before, start = status("VmRSS"), time.perf_counter()
    model = RWKV(model=path.removesuffix(".pth"), strategy="cpu bf16")
    model.forward([1], None)
"""
_END = """
print(json.dumps([time.perf_counter() - start, status("VmHWM") - before]))
"""


def measure(kind: str, path: Path, cache: Path) -> tuple[float, int]:
    """Seconds from a path to the first token's logits, and bytes of peak memory on top of the imports.

    Args:
        cache: where ours keeps what it converts and compiles.
    """
    program = _COMMON + (_THEIRS if kind == "rwkv" else _OURS) + _END
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, str(path), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    seconds, nbytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, nbytes


def write_models(folder: Path, layers: int) -> int:
    """The same weights in both formats; returns the bytes of the `.pth`."""
    import torch

    from tests.engine import tiny

    spec = tiny.spec(n_layer=layers, n_embd=768, head_size=64, vocab_size=65_536, rank=64)
    made = tiny.tensors(spec)
    for suffix in (".pth", ".safetensors"):
        tiny.save(folder / f"model{suffix}", made, torch.bfloat16)
    return (folder / "model.pth").stat().st_size


def main() -> None:
    rounds, layers = (int(word) for word in (*sys.argv[1:3], *("5", "12")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_models(folder, layers)
        found: dict[str, list[tuple[float, int]]] = {kind: [] for kind in SUFFIXES}
        for number in range(rounds + 1):
            for kind, suffix in SUFFIXES.items():
                one = measure(kind, folder / f"model{suffix}", folder / "cache")
                if number:  # the first round warms the page cache
                    found[kind].append(one)
    print(f"file {size / 1e6:.0f} MB, {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    theirs = found["rwkv"]
    for kind, ours in found.items():
        seconds = statistics.median(one[0] for one in ours)
        memory = statistics.median(one[1] for one in ours)
        faster = statistics.median(b[0] / a[0] for a, b in zip(ours, theirs, strict=True))
        smaller = statistics.median(b[1] / a[1] for a, b in zip(ours, theirs, strict=True))
        print(
            f"{kind:18} {seconds:6.2f} s, {memory / size:.2f} × the file;"
            f" rwkv takes {faster:.1f} × the time and {smaller:.1f} × the memory"
        )


if __name__ == "__main__":
    main()
