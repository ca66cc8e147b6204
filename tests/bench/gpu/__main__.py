"""See the package."""

from __future__ import annotations

import sys
import time
from importlib import metadata
from pathlib import Path

import torch

from engine import nvidia
from tests.bench.gpu.results import Results
from tests.bench.gpu.rows import ROWS, Bench


def main() -> None:
    results = Results(Path(sys.argv[1]))
    device = torch.device("cuda")
    bench = Bench(device)
    where = {
        "card": torch.cuda.get_device_name(device),
        "driver": ".".join(map(str, nvidia.machine().driver or ())),
        **{name: metadata.version(name) for name in ("torch", "triton")},
    }
    for name in sys.argv[2:] or ROWS:
        if name in results.rows:
            continue
        begun = time.monotonic()
        try:
            with torch.inference_mode():
                found = ROWS[name](bench)
        except Exception as error:  # a peer that fails must not keep the rows after it from being measured
            print(f"{name}: left out, {type(error).__name__}: {error}", flush=True)
            continue
        results.add(name, {**found, **where, "seconds": round(time.monotonic() - begun, 1)})
        print(name, found, flush=True)


if __name__ == "__main__":
    main()
