"""Which way is the quickest on this processor, by measuring: once for each shape, and remembered.

Processors differ by an order of magnitude in which of PyTorch's operators is quick for one row (AVX2, AVX512,
AMX, ARM). The first load of a model on a CPU times the ways of `engine.ops.linear.ways` on some of its own
matrices, a fraction of a second in all, and writes the names down in the cache folder. Without a folder
nothing is measured: then every start would choose anew, and the same seed would not give the same reply.
"""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.durable import into_place
from engine.ops.linear.digits import rows_for
from engine.ops.linear.ways import WAYS, kind_of, name_of, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

Matrix = tuple["Tensor", "Tensor | None"]
Names = dict[str, str]  # `name_of` a matrix → a name in `WAYS`

FILE = "row-speeds.json"
BUDGET = 0.4  # seconds, for all shapes together
SAMPLES, TURNS = 2, 4  # matrices of a shape, so that they do not stay in the processor's cache; times each
LARGEST = 1 << 26  # numbers; packing a larger one takes longer than it tells
FASTER = 0.8  # of the first way's time: what another one must stay below
_LARGEST_FILE = 1 << 20


def choose_ways(matrices: Iterable[Matrix], dtype: torch.dtype, cache: Path | None) -> Names:
    """Measures what is not remembered, and has the quickest ways taken; `dtype` is that of activations."""
    if cache is None:
        use({})
        return {}
    shapes: dict[str, list[Matrix]] = {}
    for weight, scale in matrices:
        its = shapes.setdefault(name_of(weight, scale), [])
        if len(its) < SAMPLES and weight.numel() <= LARGEST:
            its.append((weight, scale))
    remembered, here = _read(cache / FILE), machine()
    known = remembered.get(here, {})
    missing = {name: its for name, its in shapes.items() if name not in known and its}
    if missing:
        known |= fastest(missing, dtype)
        _write(cache / FILE, remembered | {here: known})
    use(known)
    return known


def machine() -> str:
    """What the speeds depend on."""
    return " | ".join((processor(), f"torch {torch.__version__}", f"{torch.get_num_threads()} threads"))


def processor() -> str:
    """Its model's name, as far as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def fastest(
    shapes: Mapping[str, Sequence[Matrix]], dtype: torch.dtype, now: Callable[[], float] = time.perf_counter
) -> Names:
    """The names; shapes for which the time does not suffice are left out, and measured at the next load."""
    end, found = now() + BUDGET, {}
    with torch.inference_mode():
        for name, matrices in shapes.items():
            if now() > end:
                break
            ways = list(WAYS[kind_of(*matrices[0])])
            seconds = {way: _seconds(way, matrices, dtype, now) for way in ways} if len(ways) > 1 else {}
            best = min(seconds, key=lambda way: seconds[way], default=ways[0])
            found[name] = best if seconds and seconds[best] < FASTER * seconds[ways[0]] else ways[0]
    return found


def _seconds(way: str, matrices: Sequence[Matrix], dtype: torch.dtype, now: Callable[[], float]) -> float:
    """The shortest time of one product; the matrices take turns."""
    made = WAYS[kind_of(*matrices[0])][way]
    ready = [made(weight) if scale is None else made(weight, scale) for weight, scale in matrices]
    N, K = matrices[0][0].shape
    K *= 2 if kind_of(*matrices[0]) == "int4" else 1
    rows, out = rows_for(ready[0], 1, K, dtype), torch.empty(N, dtype=ready[0].dtype)
    rows.x.fill_(1)
    rows.ready()
    shortest = float("inf")
    for _ in range(TURNS):
        for matrix in ready:
            start = now()
            matrix(rows, 0, out)
            shortest = min(shortest, now() - start)
    return shortest


def _read(path: Path) -> dict[str, Names]:
    """What is remembered; of a file that is not ours, nothing."""
    try:
        found = json.loads(path.read_bytes()) if path.stat().st_size <= _LARGEST_FILE else {}
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {here: _valid(names) for here, names in found.items() if isinstance(names, dict)}


def _valid(names: dict[str, object]) -> Names:
    strings = ((name, way) for name, way in names.items() if isinstance(way, str))
    return {name: way for name, way in strings if way in WAYS.get(name.partition(" ")[0], ())}


def _write(path: Path, remembered: dict[str, Names]) -> None:
    """Whole or not at all; a disk that refuses costs a measurement at the next start."""
    part = path.with_suffix(f".{os.getpid()}.part")  # another process may be writing, too
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.write_text(json.dumps(remembered, indent=1, sort_keys=True))
        into_place(part, path)
