"""One contender in a process of its own: `python -m tests.bench.lora.worker KIND MODEL CASE`.

The first answer, a line of JSON, comes after two steps: their losses, and the peak of memory in bytes. Then a
line with a number of steps asks for as many; the answer is their seconds.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING

import torch

from engine.tune.peak import Peak
from tests.bench.lora.case import Case

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.lora.case import Contender


def _ours(path: str, case: Case) -> Contender:
    from tests.bench.lora.ours import Ours

    return Ours(path, case)


def _fla(path: str, case: Case) -> Contender:
    from tests.bench.lora.fla_peft import CHUNKED_HEAD, Fla

    return Fla(path, case, CHUNKED_HEAD)


def _fla_all_logits(path: str, case: Case) -> Contender:
    from tests.bench.lora.fla_peft import ALL_LOGITS, Fla

    return Fla(path, case, ALL_LOGITS)


KINDS: dict[str, Callable[[str, Case], Contender]] = {
    "ours": _ours,
    "fla": _fla,
    "fla, all logits": _fla_all_logits,
}
WARM = 2  # steps, in which kernels are compiled and tuned


def seconds(made: Contender, steps: int) -> float:
    wait()
    begun = time.perf_counter()
    for _ in range(steps):
        made.step()
    wait()
    return time.perf_counter() - begun


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    kind, path, case = sys.argv[1:4]
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print
        peak = Peak(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        made = KINDS[kind](path, Case(**json.loads(case)))
        losses = [made.step() for _ in range(WARM)]
        wait()
        print(json.dumps({"losses": losses, "peak": peak.bytes()}), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(seconds(made, json.loads(line)["steps"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
