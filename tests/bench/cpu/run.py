"""Decode, prefill and loading on a CPU, beside llama.cpp and the `rwkv` package.

    python -m tests.bench.cpu.run [--folder models] [--only decode prefill …] [--sizes 0.4B] [--busy]

Models are made once, in the folder, and so is `results.json` there: what stands in it is not measured again,
so a run that was broken off goes on (delete the file to begin anew). Every engine is a process of its own;
they take turns, and a round's ratio compares neighbours. Prints medians, the median and the worst of the
rounds' ratios, and what has missed its bar. Wants an idle machine, about 15 minutes, and 12 GB of memory for
1.5B. On a busy one `--busy` measures one thread by the processor's time that it takes, which leaves out
waiting, but not the memory that others use; those results stand in `results-busy.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.cpu.models import SIZES, gguf_file, model_file
from tests.bench.loading import measure
from tests.bench.peer import Peer, closed

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS, TOKENS, PROMPT, PROMPTS = 5, 8, 512, 2
WORKER = "tests.bench.cpu.worker"
PAUSE = 0.4  # seconds, for the threads of the one before to go to sleep
THREADS = [2, 1]  # `--busy` leaves 1
CLOCK = ["perf_counter"]  # a name of `time`
LLAMA = (("bf16", "F16", 1.2), ("int8", "Q8_0", 1.3), ("int4", "Q4_0", 1.0))

Row = dict[str, object]


def peer(folder: Path, size: str, kind: str, form: str) -> Peer:
    path = gguf_file(folder, size, form) if kind == "llama" else model_file(folder, size)
    return Peer(f"{kind} {form}", kind, str(path), form, module=WORKER)


def in_turns(peers: list[Peer], what: str, count: int, threads: int, rounds: int) -> list[list[float]]:
    """Median seconds of each round, by peer."""
    found: list[list[float]] = [[] for _ in peers]
    for _ in range(rounds):
        for each, its in zip(peers, found, strict=True):
            time.sleep(PAUSE)
            its.append(statistics.median(each.ask(what=what, count=count, threads=threads, clock=CLOCK[0])))
    return found


def compared(peers: list[Peer], seconds: list[list[float]], tokens: int) -> Row:
    """The first is ours; ratios over 1 mean that it is faster."""
    ratios = {
        each.name: [theirs / ours for ours, theirs in zip(seconds[0], its, strict=True)]
        for each, its in zip(peers[1:], seconds[1:], strict=True)
    }
    return {
        "tokens/s": {
            each.name: round(tokens / statistics.median(its), 2)
            for each, its in zip(peers, seconds, strict=True)
        },
        "ratio": {name: round(statistics.median(its), 3) for name, its in ratios.items()},
        "worst": {name: round(min(its), 3) for name, its in ratios.items()},
        "load": round(os.getloadavg()[0], 1),
    }


def decode(folder: Path, size: str) -> Iterator[tuple[str, Row]]:
    for tier, kind, bar in LLAMA:
        if size == "0.1B":
            continue
        with closed([peer(folder, size, "ours", tier), peer(folder, size, "llama", kind)]) as peers:
            for threads in THREADS:
                row = compared(peers, in_turns(peers, "decode", TOKENS, threads, ROUNDS), 1)
                yield f"decode {size} {tier} and {kind}, {threads} thread(s)", row | {"bar": bar}


def package(folder: Path, size: str) -> Iterator[tuple[str, Row]]:
    """The faster of its two strategies counts; each has a run of its own, since fp32 takes much memory."""
    for strategy in ("cpu bf16", "cpu fp32"):
        for tier, bar in (("int8", 3.0), ("bf16", 1.7)):
            with closed([peer(folder, size, "ours", tier), peer(folder, size, "rwkv", strategy)]) as peers:
                for threads in THREADS:
                    row = compared(peers, in_turns(peers, "decode", TOKENS // 2, threads, 3), 1)
                    name = f"decode {size} {tier} and rwkv '{strategy}', {threads} thread(s)"
                    yield name, row | {"bar": bar}


def prefill(folder: Path, size: str) -> Iterator[tuple[str, Row]]:
    if size == "0.1B":
        return
    for kind, form in (("llama", "F16"), ("llama", "Q8_0"), ("llama", "Q4_0"), ("rwkv", "cpu bf16")):
        with closed([peer(folder, size, "ours", "bf16"), peer(folder, size, kind, form)]) as peers:
            for threads in THREADS:
                row = compared(peers, in_turns(peers, "prefill", PROMPT, threads, PROMPTS), PROMPT)
                yield (
                    f"prefill {PROMPT} {size} bf16 and {kind} {form}, {threads} thread(s)",
                    row | {"bar": 1.0},
                )


def ceiling(folder: Path, size: str) -> Iterator[tuple[str, Row]]:
    """Bytes that a bf16 token reads, over the best stream in the same turns."""
    if size != "1.5B":
        return
    nbytes = SIZES[size].sparse_bytes
    with closed(
        [peer(folder, size, "ours", "bf16"), Peer("stream", "stream", "", "", module=WORKER)]
    ) as peers:
        for threads in THREADS:
            ours, stream = in_turns(peers, "decode", TOKENS, threads, ROUNDS)
            shares = [nbytes / a / (1e9 / b) for a, b in zip(ours, stream, strict=True)]
            row: Row = {
                "GB/s": {"decode": round(nbytes / statistics.median(ours) / 1e9, 1)}
                | {"stream": round(1 / statistics.median(stream), 1)},
                "ratio": {"share": round(statistics.median(shares), 3)},
                "worst": {"share": round(min(shares), 3)},
                "load": round(os.getloadavg()[0], 1),
            }
            yield f"bytes of decode {size} bf16 over the best stream, {threads} thread(s)", row | {"bar": 0.6}


def load(folder: Path, size: str) -> Iterator[tuple[str, Row]]:
    """To the first token, page cache warm: seconds and peak memory on top of the imports."""
    path = model_file(folder, size)
    cache = folder / "cache"
    measure("ours .pth", path, cache)  # converts and compiles once
    turns = [(measure("ours .pth", path, cache), measure("rwkv", path, cache)) for _ in range(3)]
    for i, (what, bar) in enumerate((("seconds", 5.0), ("peak memory", 2.0))):
        ratios = [theirs[i] / ours[i] for ours, theirs in turns]
        medians = [statistics.median(each[side][i] for each in turns) for side in (0, 1)]
        row: Row = {
            what: dict(zip(("ours", "rwkv"), medians, strict=True)),
            "ratio": {"rwkv": round(statistics.median(ratios), 2)},
            "worst": {"rwkv": round(min(ratios), 2)},
            "bar": bar,
        }
        yield f"load {size} bf16, {what}", row


GROUPS = {"decode": decode, "ceiling": ceiling, "prefill": prefill, "package": package, "load": load}


def show(name: str, row: Row) -> None:
    ratio, worst = row["ratio"], row["worst"]
    assert isinstance(ratio, dict)
    assert isinstance(worst, dict)
    rest = {key: value for key, value in row.items() if key not in ("ratio", "worst", "bar", "of")}
    least = min(ratio.values())
    missed = "" if least >= float(str(row["bar"])) else "  MISSED"
    print(f"{name}: {least} (worst {min(worst.values())}, bar {row['bar']}){missed}  {rest}", flush=True)


def machine() -> str:
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    amx = any("amx_bf16" in line for line in lines)
    return f"{model}, {os.cpu_count()} CPUs, AMX {'yes' if amx else 'no'}, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench-cpu"))
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["0.4B", "1.5B", "0.1B"])
    parser.add_argument("--busy", action="store_true")
    options = parser.parse_args()
    if options.busy:
        THREADS[:] = [1]
        CLOCK[:] = ["thread_time"]
    print(machine(), flush=True)
    kept = options.folder / ("results-busy.json" if options.busy else "results.json")
    results: dict[str, Row] = json.loads(kept.read_text()) if kept.is_file() else {}
    for group in options.only:
        for size in options.sizes:
            for name, row in done(results, group, size) or GROUPS[group](options.folder, size):
                results[name] = row | {"of": f"{group} {size}"}
                kept.write_text(json.dumps(results, indent=1, ensure_ascii=False))
                show(name, row)
            results[f"done {group} {size}"] = {}
            kept.write_text(json.dumps(results, indent=1, ensure_ascii=False))


def done(results: dict[str, Row], group: str, size: str) -> list[tuple[str, Row]]:
    """The rows of a group that was measured to its end."""
    if f"done {group} {size}" not in results:
        return []
    return [(name, row) for name, row in results.items() if row.get("of") == f"{group} {size}"]


if __name__ == "__main__":
    sys.exit(main())
