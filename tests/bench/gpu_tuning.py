"""Tuning on a card: peak memory of each method and base, and speed. To be run as it is; resumes.

    python -m tests.bench.gpu_tuning results.jsonl FOLDER [row …]

FOLDER takes random models of released shapes (up to 6 GB each). Every row is a run of `engine.tune` in a
process of its own, as the app starts it; a finished row is appended to the file and not measured again.
Memory: ctx 1024, one row at once; the allocator's peak, and the driver's total beside it. Speed: tokens per
second, median of the steps after the first two. `tiny` rows try the script on a CPU.

Not in here: the same against a model of fla with peft's LoRA (bar: 1.5 ×). wkv alone: `wkv_gpu.py`.
"""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
import torch
from safetensors.torch import save_file

from engine.models.names import stored_shape
from engine.tune import read_events, rows
from engine.tune.folder import Folder
from engine.types import Failed, Memory, Row, Step, Stopped, TuneConfig, config_table
from tests.bench.gpu.results import Results
from tests.bench.gpu.weights import SIZES, made


@dataclass(frozen=True)
class Bar:
    """One row: what is run, and what it is held to."""

    size: str
    method: str
    base: str = "bf16"
    context: int = 1024
    batch: int = 1
    steps: int = 4
    dialogues: int = 0  # of 60 to 240 tokens, in place of rows as long as the context
    bars: dict[str, float] = field(default_factory=dict)


def _memory(size: str, method: str, base: str, gb: float) -> Bar:
    return Bar(size, method, base, bars={"peak_gb": gb})


ROWS = {
    "1.5B state": _memory("1.5B", "state", "bf16", 3.7),
    "2.9B state": _memory("2.9B", "state", "bf16", 6.8),
    "1.5B lora": _memory("1.5B", "lora", "bf16", 4.0),
    "2.9B lora": _memory("2.9B", "lora", "bf16", 7.2),
    "1.5B state nf4": _memory("1.5B", "state", "nf4", 1.9),
    "2.9B state nf4": _memory("2.9B", "state", "nf4", 3.0),
    "1.5B state speed": Bar(
        "1.5B", "state", context=4096, batch=4, steps=8, bars={"tokens_per_second": 37_600}
    ),
    "1.5B lora speed": Bar(
        "1.5B", "lora", context=4096, batch=4, steps=8, bars={"tokens_per_second": 37_600}
    ),
    "0.4B quick": Bar("0.4B", "lora", batch=16, steps=40, dialogues=200, bars={"minutes": 5}),
    "tiny state": Bar("tiny", "state", context=64),
    "tiny nf4": Bar("tiny", "lora", "nf4", context=64, dialogues=8),
}


def model(folder: Path, size: str) -> Path:
    """A random bf16 file, made once."""
    path = folder / f"{size}.safetensors"
    if not path.exists():
        device = "cuda" if torch.cuda.is_available() else "cpu"
        of = SIZES[size].spec()
        tensors = {
            n: x.cpu().reshape(stored_shape(of, n)).contiguous() for n, x in made(SIZES[size], device).items()
        }
        save_file(tensors, path)
    return path


def data(bar: Bar) -> list[Row]:
    """Random ids, every second half learnt."""
    rng, vocabulary = random.Random(1), SIZES[bar.size].vocabulary
    count = bar.dialogues or bar.batch
    lengths = [rng.randint(60, 240) if bar.dialogues else bar.context + 1 for _ in range(count)]
    return [
        ([rng.randrange(1, vocabulary) for _ in range(n)], [float(i >= n // 2) for i in range(n)])
        for n in lengths
    ]


def run(folder: Path, bar: Bar) -> dict[str, Any]:
    home = Folder(folder / "run")
    shutil.rmtree(home.path, ignore_errors=True)
    rows.write(home.train, data(bar))
    config = TuneConfig(
        str(model(folder, bar.size)), bar.method, bar.base, steps=bar.steps, batch_size=bar.batch,
        micro_batch=0 if bar.dialogues else bar.batch, context=bar.context, rank=64, alpha=64.0,
    )  # fmt: skip
    home.config.write_text(tomlkit.dumps(config_table(config)))
    subprocess.run([sys.executable, "-m", "engine.tune", str(home.path)], check=False)
    events, _ = read_events(home.path)
    return found(events, bar)


def found(events: list[Any], bar: Bar) -> dict[str, Any]:
    steps = [each for each in events if isinstance(each, Step)]
    memory = next((each for each in events if isinstance(each, Memory)), None)
    if memory is None or not isinstance(events[-1], Stopped):
        raise RuntimeError(str([each.error for each in events if isinstance(each, Failed)]))
    speed = statistics.median(each.tokens_per_second for each in steps[2:])
    lengths = [len(ids) - 1 for ids, _ in data(bar)]
    tokens = bar.steps * bar.batch * statistics.mean(lengths)
    values = {
        "peak_gb": memory.peak / 1e9,
        "driver_gb": memory.device_total / 1e9,
        "estimated_gb": memory.estimated / 1e9,
        "tokens_per_second": speed,
        "minutes": tokens / speed / 60,
    }
    return {
        **values,
        "bars": bar.bars,
        "missed": [name for name, bound in bar.bars.items() if _misses(values, name, bound)],
    }


def _misses(values: dict[str, float], name: str, bound: float) -> bool:
    return values[name] < bound if name == "tokens_per_second" else values[name] > bound


def main() -> None:
    results, folder = Results(Path(sys.argv[1])), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[3:] or [each for each in ROWS if not each.startswith("tiny")]:
        if name in results.rows:
            continue
        try:
            values = run(folder, ROWS[name])
        except Exception as error:  # the rows after it are measured all the same
            print(f"{name}: left out, {type(error).__name__}: {error}", flush=True)
            continue
        card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
        results.add(name, {**values, "card": card})
        print(name, values, flush=True)


if __name__ == "__main__":
    main()
