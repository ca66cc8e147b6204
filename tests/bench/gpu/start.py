"""From `Engine.load` (torch imported) to the first piece of a reply, with a cold and a warm compile cache:
`python -m tests.bench.gpu.start MODEL [TOKENIZER.json] [DEVICE]`.

The cold start compiles every kernel into an empty folder, the warm ones take them from there; the page cache
is warm from the first read. The bars at 0.4B: 20 s cold, 2 s and the weights' transfer warm.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch

from engine.service import Engine
from engine.types import Failed, GenerateRequest, Loaded, LoadRequest, Piece, SamplingParams, TokenizerRef

WARM = 3


def first_piece(model: Path, tokenizer: TokenizerRef, device: str, cache: Path) -> tuple[float, float]:
    """Seconds to `Loaded`, and to the first piece. Raises: EngineError."""
    with tempfile.TemporaryDirectory() as states:
        engine = Engine(Path(states), cache=cache)
        try:
            begun = time.perf_counter()
            for event in engine.load(LoadRequest(str(model), tokenizer, device)):
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Loaded):
                    break
            loaded = time.perf_counter() - begun
            job = engine.submit(GenerateRequest(prompt=(1, 2, 3), params=SamplingParams(max_tokens=4)))
            for event in job:
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Piece):
                    break
            return loaded, time.perf_counter() - begun
        finally:
            engine.close()


def main(arguments: list[str]) -> None:
    model = Path(arguments[0])
    named = arguments[1] if len(arguments) > 1 else ""
    tokenizer = TokenizerRef("json", named) if named else TokenizerRef()
    device = arguments[2] if len(arguments) > 2 else "cuda"
    if device == "cuda":
        torch.cuda.init()
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", *("warm" for _ in range(WARM))):
            loaded, first = first_piece(model, tokenizer, device, Path(cache))
            print(f"{name}: loaded after {loaded:.2f} s, first piece after {first:.2f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
