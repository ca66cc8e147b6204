"""The rows of the comparison: what is measured against what. Each is finished alone and remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from engine.ops.wkv7 import wkv7
from tests.bench.gpu import ours
from tests.bench.gpu.peers import Albatross, Package, Transformer, fla_recurrence
from tests.bench.gpu.timing import Times, allocated, bandwidth, in_turns
from tests.bench.gpu.weights import SIZES, made, model_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from engine.models.model import Model

CONTEXTS = (512, 131_072)


@dataclass
class Bench:
    """The weights of one size at a time, and the engines made of them so far."""

    device: torch.device
    size: str = ""
    tensors: dict[str, Tensor] | None = None
    engines: dict[str, Any] | None = None

    def of(self, size: str) -> Bench:
        """Another size takes the place of the one before."""
        if size != self.size:
            self.size, self.tensors, self.engines = size, None, None
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self.tensors, self.engines = made(SIZES[size], str(self.device)), {}
        return self

    def model(self, tier: str) -> Model:
        return self._engine(tier, lambda: model_of(SIZES[self.size], self.tensors or {}, tier))

    def albatross(self) -> Albatross:
        return self._engine("albatross", lambda: Albatross(self.tensors or {}))

    def package(self) -> Package:
        return self._engine("package", lambda: Package(self.tensors or {}))

    def _engine(self, name: str, make: Callable[[], Any]) -> Any:
        held = self.engines if self.engines is not None else {}
        if name not in held:
            held[name] = make()
        return held[name]


def _compared(times: Times, peer: str) -> dict[str, Any]:
    ratios = sorted(times.ratios("ours", peer))
    return {
        "ours_ms": 1e3 * times.median("ours"),
        "peer": peer,
        "peer_ms": 1e3 * times.median(peer),
        "ratio": ratios[len(ratios) // 2],
        "worst_round": ratios[0],
    }


def decode(bench: Bench, size: str, batch: int = 1) -> dict[str, Any]:
    bench.of(size)
    contenders = {"ours": ours.step(bench.model("fp16"), batch), "albatross": bench.albatross().run(batch, 1)}
    return _compared(in_turns(contenders, bench.device), "albatross")


def prefill(bench: Bench, size: str, tokens: int = 1024) -> dict[str, Any]:
    bench.of(size)
    contenders = {
        "ours": ours.prompt(bench.model("fp16"), tokens),
        "albatross": bench.albatross().run(1, tokens),
    }
    return _compared(in_turns(contenders, bench.device), "albatross")


def loop(bench: Bench, size: str) -> dict[str, Any]:
    bench.of(size)
    contenders = {"ours": ours.loop(bench.model("fp16")), "package": bench.package().loop()}
    return _compared(in_turns(contenders, bench.device), "package")


def tier(bench: Bench, size: str, name: str) -> dict[str, Any]:
    """A packed tier over our own fp16."""
    bench.of(size)
    contenders = {"ours": ours.step(bench.model(name)), "fp16": ours.step(bench.model("fp16"))}
    return _compared(in_turns(contenders, bench.device), "fp16")


def share(bench: Bench, size: str) -> dict[str, Any]:
    """Bytes that a token has to read, over what the card could have read in its time."""
    model = bench.of(size).model("fp16")
    seconds = in_turns({"ours": ours.step(model)}, bench.device).median("ours")
    needed, speed = token_bytes(model, SIZES[size].zeros), bandwidth(bench.device)
    return {"ours_ms": 1e3 * seconds, "bytes": needed, "bandwidth": speed, "share": needed / seconds / speed}


def token_bytes(model: Model, zeros: float) -> float:
    """All weights but the embedding and the rows of hidden units that are zero; the state twice."""
    spec = model.spec
    weights = model.nbytes - model.tensors["emb.weight"].nbytes
    values = sum(x.nbytes for name, x in model.tensors.items() if "ffn.value" in name)
    return weights - zeros * values + 2 * model.zero_state(1).nbytes + 2 * spec.n_embd


def context(bench: Bench, size: str) -> dict[str, Any]:
    """A token after little and after much history, and the memory that this takes beside the weights: ours,
    which has read all of it, and a transformer of the same width and depth.
    """
    bench.of(size)
    model, of = bench.model("fp16"), SIZES[size]
    peer = Transformer(of.layers, of.width, of.vocabulary, bench.device)
    makers: dict[str, Callable[[int], Callable[[], object]]] = {
        "ours": lambda tokens: ours.step(model, state=ours.fed(model, tokens)),
        "transformer": peer.after,
    }
    for make in makers.values():  # compiles, and takes what a library keeps
        make(CONTEXTS[0])()
    taken: dict[str, list[int]] = {name: [] for name in makers}
    times = []
    for tokens in CONTEXTS:
        contenders = {}
        for name, make in makers.items():
            before = allocated(bench.device)
            contenders[name] = make(tokens)
            contenders[name]()
            taken[name].append(allocated(bench.device) - before)
        times.append(in_turns(contenders, bench.device))
    short, long = times
    ratios = {name: long.median(name) / short.median(name) for name in makers}
    return ratios | {f"{name} bytes": its for name, its in taken.items()}


def recurrence(bench: Bench, heads: int, tokens: int = 1024) -> dict[str, Any]:
    """The recurrence of one layer alone, in bf16."""
    made = (torch.randn(1, tokens, heads, 64, device=bench.device, dtype=torch.bfloat16) for _ in range(5))
    r, k, v, keys, iclr = made
    log_w = -0.6065 * torch.rand(1, tokens, heads, 64, device=bench.device).to(torch.bfloat16)
    removal = torch.nn.functional.normalize(keys, dim=-1)
    inputs = (r, log_w, k, v, -removal, removal * iclr.sigmoid())
    state = torch.zeros(1, heads, 64, 64, device=bench.device)
    contenders = {"ours": lambda: wkv7(*inputs, state), "fla": fla_recurrence(inputs, state)}
    return _compared(in_turns(contenders, bench.device), "fla")


# What is measured, in this order; sizes that follow one another share their weights.
ROWS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "decode 0.1B": lambda bench: decode(bench, "0.1B"),
    "decode 0.4B": lambda bench: decode(bench, "0.4B"),
    "decode 1.5B": lambda bench: decode(bench, "1.5B"),
    "decode 1.5B batch 8": lambda bench: decode(bench, "1.5B", 8),
    "decode 1.5B batch 32": lambda bench: decode(bench, "1.5B", 32),
    "prefill 1.5B": lambda bench: prefill(bench, "1.5B"),
    "wkv7 1.5B": lambda bench: recurrence(bench, 32),
    "loop 1.5B": lambda bench: loop(bench, "1.5B"),
    "share 1.5B": lambda bench: share(bench, "1.5B"),
    "context 1.5B": lambda bench: context(bench, "1.5B"),
    "decode 2.9B": lambda bench: decode(bench, "2.9B"),
    "int8 2.9B": lambda bench: tier(bench, "2.9B", "int8-g64"),
    "int4 2.9B": lambda bench: tier(bench, "2.9B", "int4-g32"),
    "decode 7.2B": lambda bench: decode(bench, "7.2B"),
    "share 7.2B": lambda bench: share(bench, "7.2B"),
    "int8 7.2B": lambda bench: tier(bench, "7.2B", "int8-g64"),
    "int4 7.2B": lambda bench: tier(bench, "7.2B", "int4-g32"),
    "decode 13.3B": lambda bench: decode(bench, "13.3B"),
}
