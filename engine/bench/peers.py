"""Other programs on the same weights and threads, in turn with ours; those that are installed."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bench.peer_process import PeerFailed, PeerProcess, Side
from engine.bench.rows import LeftOut, PeerRow
from engine.bench.subject import threads_of
from engine.errors import EngineError
from engine.weights.export import convert
from engine.weights.load import choose_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.bench.rows import Plan

ROUNDS, STARTS = 5, 3
TOKENS, PROMPT = 16, 512
DECODE = ("decode", "prefill")
START = ("load", "memory")


@dataclass(frozen=True, slots=True)
class Peer:
    """A comparison: a program, its form of the weights, our tier beside it, and the file that it reads.

    Attributes:
        module, package: what is imported, and what is installed.
        format, dtype: of the file, for `engine.weights.export.convert`.
        what: the rows that come of it.
    """

    name: str
    form: str
    tier: str
    module: str
    package: str
    format: str
    dtype: str = "stored"
    what: tuple[str, ...] = DECODE


def _llama(form: str, tier: str, dtype: str) -> Peer:
    return Peer("llama.cpp", form, tier, "llama_cpp", "llama-cpp-python", "gguf", dtype)


def _rwkv(form: str, tier: str, what: tuple[str, ...] = DECODE) -> Peer:
    return Peer("rwkv", form, tier, "rwkv", "rwkv", "pth", what=what)


PEERS = {
    "cpu": (
        _llama("F16", "bf16", "fp16"),
        _llama("Q8_0", "int8", "q8_0"),
        _llama("Q4_0", "int4", "fp16"),  # which llama.cpp itself makes of it
        _rwkv("cpu fp32", "int8"),
        _rwkv("cpu fp32", "bf16"),
        _rwkv("cpu bf16", "int8"),
        _rwkv("cpu bf16", "bf16", (*DECODE, *START)),
    ),
    "cuda": (_rwkv("cuda fp16", "fp16", (*DECODE, *START)),),
}


def peers(plan: Plan) -> Iterator[PeerRow | LeftOut]:
    """Rows of each comparison, or why there are none."""
    device = choose_device(plan.device)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for peer in PEERS[device.type]:
            case = f"{peer.name} {peer.form}, {peer.tier}"
            if find_spec(peer.module) is None:
                yield LeftOut("peers", case, "not installed")
                continue
            try:
                yield from _rows(plan, peer, str(device), Path(folder))
            except PeerFailed as error:
                yield LeftOut("peers", case, str(error))
            except EngineError as error:
                yield LeftOut("peers", case, type(error).__name__)


def _rows(plan: Plan, peer: Peer, device: str, folder: Path) -> Iterator[PeerRow]:
    path = folder / f"{peer.dtype}.{peer.format}"
    if not path.exists():
        for _ in convert(Path(plan.path), path, peer.format, dtype=peer.dtype):
            pass
    ours = Side("ours", plan.path, peer.tier, device, threads_of(plan), plan.cache)
    theirs = Side(peer.name, str(path), peer.form, device, threads_of(plan))
    with PeerProcess(ours) as our_own, PeerProcess(theirs) as other:
        for what in peer.what:
            if what in DECODE:
                yield _row(peer, what, _fed(what, our_own, other))
    if START[0] in peer.what:
        yield from _starts(peer, ours, theirs)


def _fed(what: str, ours: PeerProcess, theirs: PeerProcess) -> list[tuple[float, float]]:
    """Tokens in a second of each round but the first."""
    at_once = what == "prefill"
    tokens, fed = (PROMPT, PROMPT) if at_once else (TOKENS, 1)
    sides = (ours, theirs)
    rounds = [[fed / each.seconds(tokens, at_once=at_once) for each in sides] for _ in range(ROUNDS + 1)]
    return [(a, b) for a, b in rounds[1:]]


def _starts(peer: Peer, ours: Side, theirs: Side) -> Iterator[PeerRow]:
    """Both have been started before: what is converted and compiled once is there."""
    pairs = [(_started(ours), _started(theirs)) for _ in range(STARTS)]
    for at, what in enumerate(START):
        found = [(a[at], b[at]) for a, b in pairs]
        if all(a and b for a, b in found):  # bytes that no system told are 0
            yield _row(peer, what, found)


def _started(side: Side) -> tuple[float, float]:
    with PeerProcess(side) as process:
        return process.started


def _row(peer: Peer, what: str, pairs: list[tuple[float, float]]) -> PeerRow:
    ratio = statistics.median(a / b for a, b in pairs)
    return PeerRow(
        peer.name,
        version(peer.package),
        peer.form,
        peer.tier,
        what,
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        1 / ratio if what in START else ratio,
    )
