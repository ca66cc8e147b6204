"""See the package."""

from __future__ import annotations

import json
import statistics
import sys
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tests.bench.gpu.results import Results
from tests.bench.gpu_tuning import card, model
from tests.bench.lora.case import Case
from tests.bench.peer import Peer

BAR = 1.5
ROUNDS, STEPS = 5, 3
PEERS = {"fla": "fla", "fla, all logits": "fla, all logits"}  # name → kind of worker
ROWS = {
    "1.5B, blocks computed again": Case("1.5B", 4),
    "1.5B, activations kept": Case("1.5B", 1, recompute=False),
    "tiny": Case("tiny", 2, context=64, rank=4),
}


def taken() -> int:
    """Bytes of the card that somebody has; 0 without one."""
    if not torch.cuda.is_available():
        return 0
    free, total = torch.cuda.mem_get_info()
    return total - free


def begun(kind: str, path: Path, case: Case) -> tuple[Peer, dict[str, Any]]:
    """A contender that has taken its first steps, and what it told.  Raises RuntimeError: it died."""
    before = taken()
    peer = Peer(
        kind, kind, str(path), json.dumps(asdict(case)), module="tests.bench.lora.worker", quiet=False
    )
    told = peer.ready
    return peer, {
        "losses": told["losses"],
        "peak_gb": told["peak"] / 1e9,
        "driver_gb": (taken() - before) / 1e9,
    }


def compared(
    path: Path, case: Case, peers: dict[str, str], rounds: int = ROUNDS, steps: int = STEPS
) -> dict[str, Any]:
    """Ours and the peers in turns. A peer that cannot be begun is left out, and named."""
    with ExitStack() as stack:
        found: dict[str, dict[str, Any]] = {}
        running: dict[str, Peer] = {}
        for name, kind in ({"ours": "ours"} | peers).items():
            try:
                running[name], found[name] = begun(kind, path, case)
            except RuntimeError as error:
                if name == "ours":
                    raise
                found[name] = {"left out": str(error)}
                continue
            stack.enter_context(closing(running[name]))
        turns = [{name: each.ask(steps=steps) for name, each in running.items()} for _ in range(rounds)]
    for name in running:
        found[name]["tokens_per_second"] = steps * case.tokens / statistics.median(x[name] for x in turns)
    return found | judged(turns, [name for name in running if name != "ours"])


def judged(turns: list[dict[str, float]], peers: list[str]) -> dict[str, Any]:
    """The median and the worst round's ratio to each peer (over 1: ours is faster), and the bar."""
    ratios = {name: sorted(each[name] / each["ours"] for each in turns) for name in peers}
    medians = {name: statistics.median(its) for name, its in ratios.items()}
    missed = bool(medians) and min(medians.values()) < BAR
    return {"ratio": medians, "worst": {n: its[0] for n, its in ratios.items()}, "bar": BAR, "missed": missed}


def main() -> None:
    results, folder = Results(Path(sys.argv[1])), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[3:] or [each for each in ROWS if each != "tiny"]:
        if name not in results.rows:
            case = ROWS[name]
            results.add(name, {**compared(model(folder, case.size), case, PEERS), **card()})
            print(name, results.rows[name], flush=True)


if __name__ == "__main__":
    main()
