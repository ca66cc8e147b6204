"""Tuning on a card: peak memory of each method and base, speed, and the minutes of a preset. Resumes.

    python -m tests.bench.gpu_tuning results.jsonl FOLDER [row …]

FOLDER takes random models of released shapes (up to 6 GB each). Every row is a run of `engine.tune` in a
process of its own, as the app starts it; a finished row is appended to the file and not measured again.
Memory: ctx 1024, one row at once; the allocator's peak, and the driver's total beside it. Speed: tokens per
second, median of the steps after the first two. Preset: minutes by the clock from the process's start to its
end, with evaluations, sample replies and the result, as `rwkv-chat tune` sets it up. `tiny` rows try the
script on a CPU.

Beside fla and peft: `python -m tests.bench.lora`. wkv alone: `python -m tests.bench.wkv_gpu`.
"""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomlkit
import torch
from safetensors.torch import save_file

from engine.models.names import stored_shape
from engine.tune import read_events, rows
from engine.tune.folder import Folder, write_probes
from engine.types import Failed, Memory, Probe, Row, Step, Stopped, TuneConfig, config_table
from rwkv_chat.session.examples_types import Amount
from rwkv_chat.session.tune_presets import config_of
from tests.bench.gpu.results import Results
from tests.bench.gpu.weights import SIZES, made
from tests.children import in_child
from tests.fake_tunes import FOUND

PROBES = 3  # prompts that are answered at every evaluation of a preset
HELD_OUT = 0.1  # of the dialogues


@dataclass(frozen=True)
class Bar:
    """One row: what is run, and what it is held to."""

    size: str
    method: str
    base: str = "bf16"
    context: int = 1024
    batch: int = 1
    steps: int = 4
    dialogues: int = 0  # of 60 to 240 tokens, tuned on by the preset "quick"; 0: rows as long as the context
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
    "0.4B quick state": Bar("0.4B", "state", dialogues=200, bars={"minutes": 5}),
    "0.4B quick lora": Bar("0.4B", "lora", dialogues=200, bars={"minutes": 5}),
    "1.5B lora nf4": Bar("1.5B", "lora", "nf4"),
    "1.5B state int8": Bar("1.5B", "state", "int8"),
    "tiny state": Bar("tiny", "state", context=64),
    "tiny nf4": Bar("tiny", "lora", "nf4", context=64),
    "tiny quick": Bar("tiny", "state", dialogues=24),
}


def model(folder: Path, size: str) -> Path:
    """A random bf16 file, made once; by a process of its own, so that this one takes nothing of the card."""
    path = folder / f"{size}.safetensors"
    if not path.exists():
        in_child(_make, path, size)
    return path


def _make(path: Path, size: str) -> None:
    of = SIZES[size].spec()
    tensors = {n: x.cpu().reshape(stored_shape(of, n)) for n, x in made(SIZES[size], device()).items()}
    part = path.with_suffix(".part")
    save_file({name: x.contiguous() for name, x in tensors.items()}, part)
    part.rename(path)


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def data(bar: Bar) -> list[Row]:
    """Random ids, every second half learnt."""
    rng, vocabulary = random.Random(1), SIZES[bar.size].vocabulary
    count = bar.dialogues or bar.batch
    lengths = [rng.randint(60, 240) if bar.dialogues else bar.context + 1 for _ in range(count)]
    return [
        ([rng.randrange(1, vocabulary) for _ in range(n)], [float(i >= n // 2) for i in range(n)])
        for n in lengths
    ]


def config(path: Path, bar: Bar, train: list[Row]) -> TuneConfig:
    """As asked for; for dialogues as the app would have it."""
    if not bar.dialogues:
        return TuneConfig(
            str(path), bar.method, bar.base, steps=bar.steps, batch_size=bar.batch, micro_batch=bar.batch,
            context=bar.context, rank=64, alpha=64.0,
        )  # fmt: skip
    tokens, longest = sum(len(ids) for ids, _ in train), max(len(ids) for ids, _ in train)
    survey = replace(FOUND, train=Amount(len(train), tokens, tokens // 2), longest=longest)
    return config_of("quick", bar.method, path, survey, device(), SIZES[bar.size].width)


def run(folder: Path, bar: Bar) -> dict[str, Any]:
    home = Folder(folder / "run")
    shutil.rmtree(home.path, ignore_errors=True)
    train = data(bar)
    if bar.dialogues:
        held_out, train = train[: round(HELD_OUT * len(train))], train[round(HELD_OUT * len(train)) :]
        rows.write(home.valid, held_out)
        write_probes(home, tuple(Probe(tuple(ids[:20])) for ids, _ in held_out[:PROBES]))
    rows.write(home.train, train)
    home.config.write_text(tomlkit.dumps(config_table(config(model(folder, bar.size), bar, train))))
    begun = time.monotonic()
    tuned(home.path)
    minutes = (time.monotonic() - begun) / 60
    events, _ = read_events(home.path)
    return found(events, bar.bars, minutes)


def tuned(folder: Path) -> None:
    """In a process of its own, as the app has it."""
    subprocess.run([sys.executable, "-m", "engine.tune", str(folder)], check=False)


def found(events: list[Any], bars: dict[str, float], minutes: float) -> dict[str, Any]:
    """What a run told, and which bars it missed.  Raises RuntimeError: it did not end as it should."""
    steps = [each for each in events if isinstance(each, Step)]
    memory = next((each for each in events if isinstance(each, Memory)), None)
    if memory is None or not isinstance(events[-1], Stopped):
        raise RuntimeError(str([each.error for each in events if isinstance(each, Failed)]))
    values = {
        "peak_gb": memory.peak / 1e9,
        "driver_gb": memory.device_total / 1e9,
        "estimated_gb": memory.estimated / 1e9,
        "tokens_per_second": statistics.median(each.tokens_per_second for each in steps[2:]),
        "steps": len(steps),
        "minutes": minutes,
    }
    return {
        **values,
        "bars": bars,
        "missed": [name for name, bound in bars.items() if _misses(values, name, bound)],
    }


def _misses(values: dict[str, float], name: str, bound: float) -> bool:
    return values[name] < bound if name == "tokens_per_second" else values[name] > bound


def card() -> dict[str, str]:
    """What was measured on; asked by a process of its own."""
    return {"card": in_child(_name), "torch": torch.__version__}


def _name() -> str:
    return torch.cuda.get_device_name(0) if device() == "cuda" else "cpu"


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
        results.add(name, {**values, **card()})
        print(name, values, flush=True)


if __name__ == "__main__":
    main()
