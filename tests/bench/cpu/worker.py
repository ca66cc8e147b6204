"""One engine with one model in a process of its own, told over its standard input what to time.

    python -m tests.bench.cpu.worker ours|llama|rwkv|stream <file> <tier or strategy>

A line of JSON asks for work, `{"what": "decode", "count": 8, "threads": 2, …}`; the answer is a line with
seconds: of each token, or of one prompt. Only what computes is timed: no sampling, no text.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

WARM = 3  # tokens before the first that is timed


class Peer(Protocol):
    """An engine with its model."""

    def threads(self, count: int) -> None: ...

    def begin(self) -> None:
        """Forgets everything that was fed."""

    def feed(self, tokens: list[int]) -> None:
        """Feeds tokens at once; the last one's logits are ready afterwards."""


class Ours:
    """As the engine has it a few seconds after a load, when nobody waited for a reply."""

    def __init__(self, path: str, tier: str) -> None:
        from engine.large_pages import quickening
        from engine.weights.load import load

        loading = load(path, device="cpu", dtype=tier)
        while True:
            try:
                next(loading)
            except StopIteration as stop:
                self._model = stop.value
                break
        for _ in quickening(self._model):
            continue
        self.begin()
        self.feed([1])  # what is compiled in a thread of its own is ready then

    def threads(self, count: int) -> None:
        torch.set_num_threads(count)

    def begin(self) -> None:
        self._state = self._model.zero_state()

    @torch.inference_mode()
    def feed(self, tokens: list[int]) -> None:
        from engine.devices import chunk_for

        if len(tokens) == 1:
            _, self._state = self._model.step(torch.tensor(tokens), self._state)
            return
        for part in torch.tensor([tokens]).split(chunk_for("cpu", self._model.nbytes), dim=1):
            _, self._state = self._model.forward(part, self._state)


class Llama:
    def __init__(self, path: str, _: str) -> None:
        import llama_cpp as llama  # pyright: ignore[reportMissingImports]

        self._llama: Any = llama
        params = llama.llama_model_default_params()
        params.n_gpu_layers = 0
        context = llama.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = 512
        model = self._llama.llama_model_load_from_file(path.encode(), params)
        self._context = self._llama.llama_init_from_model(model, context)

    def threads(self, count: int) -> None:
        self._llama.llama_set_n_threads(self._context, count, count)

    def begin(self) -> None:
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), True)

    def feed(self, tokens: list[int]) -> None:
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        batch = self._llama.llama_batch_get_one(array, len(tokens))
        if self._llama.llama_decode(self._context, batch):
            raise RuntimeError("llama.cpp refused the tokens")
        self._llama.llama_get_logits_ith(self._context, -1)


class Package:
    """The `rwkv` package."""

    def __init__(self, path: str, strategy: str) -> None:
        os.environ |= {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "1", "RWKV_CUDA_ON": "0"}
        from rwkv.model import RWKV

        self._model = RWKV(model=path.removesuffix(".pth"), strategy=strategy)
        self.begin()

    def threads(self, count: int) -> None:
        torch.set_num_threads(count)

    def begin(self) -> None:
        self._state: Any = None

    def feed(self, tokens: list[int]) -> None:
        _, self._state = self._model.forward(tokens, self._state)


class Stream:
    """What memory gives: a sum of 1 GiB in fp32, and a product of it with a vector; the faster one counts."""

    def __init__(self, *_: str) -> None:
        self._numbers = torch.ones(1 << 17, 1 << 11)
        self._vector = torch.ones(1 << 11)

    def threads(self, count: int) -> None:
        torch.set_num_threads(count)

    def seconds_of_a_gigabyte(self, now: Callable[[], float]) -> float:
        starts = [now()]
        self._numbers.sum()
        starts.append(now())
        torch.mv(self._numbers, self._vector)
        starts.append(now())
        return min(starts[1] - starts[0], starts[2] - starts[1]) * 1e9 / self._numbers.nbytes


PEERS = {"ours": Ours, "llama": Llama, "rwkv": Package}


def timed(peer: Peer, what: str, count: int, now: Callable[[], float]) -> list[float]:
    """Seconds of each of `count` tokens, or of one prompt of as many."""
    peer.begin()
    if what == "prefill":
        return [_seconds(peer, [i % 1000 for i in range(count)], now)]
    return [_seconds(peer, [i % 1000], now) for i in range(WARM + count)][WARM:]


def _seconds(peer: Peer, tokens: list[int], now: Callable[[], float]) -> float:
    start = now()
    peer.feed(tokens)
    return now() - start


def main() -> None:
    kind, path, form = sys.argv[1:4]
    with contextlib.redirect_stdout(sys.stderr):
        peer = Stream() if kind == "stream" else PEERS[kind](path, form)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        peer.threads(asked["threads"])
        now = getattr(time, asked["clock"])
        if isinstance(peer, Stream):
            answer = [peer.seconds_of_a_gigabyte(now) for _ in range(4)]
        else:
            answer = timed(peer, asked["what"], asked["count"], now)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
