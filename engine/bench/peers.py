"""Other programs on the same weights and threads, in turn with ours; those that are installed."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bench.peer_process import PeerFailed, PeerProcess
from engine.bench.rows import LeftOut, PeerRow
from engine.bench.subject import threads_of
from engine.errors import EngineError
from engine.weights.export import convert
from engine.weights.load import choose_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.bench.rows import Plan

ROUNDS = 5
TOKENS, PROMPT = 16, 256


@dataclass(frozen=True, slots=True)
class Peer:
    """A comparison: a program, its form of the weights, our tier beside it, and the file that it reads.

    Attributes:
        module, package: what is imported, and what is installed.
        format, dtype: of the file, for `engine.weights.export.convert`.
    """

    name: str
    form: str
    tier: str
    module: str
    package: str
    format: str
    dtype: str = "stored"


PEERS = {
    "cpu": (
        Peer("llama.cpp", "F16", "bf16", "llama_cpp", "llama-cpp-python", "gguf", "fp16"),
        Peer("llama.cpp", "Q8_0", "int8", "llama_cpp", "llama-cpp-python", "gguf", "q8_0"),
        Peer("rwkv", "cpu fp32", "fp32", "rwkv", "rwkv", "pth"),
        Peer("rwkv", "cpu bf16", "bf16", "rwkv", "rwkv", "pth"),
    ),
    "cuda": (Peer("rwkv", "cuda fp16", "fp16", "rwkv", "rwkv", "pth"),),
}


def peers(plan: Plan) -> Iterator[PeerRow | LeftOut]:
    """Rows of each comparison, or why there are none."""
    device = choose_device(plan.device)
    for peer in PEERS[device.type]:
        case = f"{peer.name} {peer.form}"
        if find_spec(peer.module) is None:
            yield LeftOut("peers", case, "not installed")
            continue
        try:
            yield from _rows(plan, peer, str(device))
        except PeerFailed as error:
            yield LeftOut("peers", case, str(error))
        except EngineError as error:
            yield LeftOut("peers", case, type(error).__name__)


def _rows(plan: Plan, peer: Peer, device: str) -> Iterator[PeerRow]:
    threads = threads_of(plan)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / f"model.{peer.format}"
        for _ in convert(Path(plan.path), path, peer.format, dtype=peer.dtype):
            pass
        with (
            PeerProcess("ours", plan.path, peer.tier, device, threads) as ours,
            PeerProcess(peer.name, str(path), peer.form, device, threads) as theirs,
        ):
            yield _row(peer, "decode", TOKENS, ours, theirs)
            yield _row(peer, "prefill", PROMPT, ours, theirs)


def _row(peer: Peer, what: str, tokens: int, ours: PeerProcess, theirs: PeerProcess) -> PeerRow:
    at_once = what == "prefill"
    pairs = [
        (ours.seconds(tokens, at_once=at_once), theirs.seconds(tokens, at_once=at_once))
        for _ in range(ROUNDS + 1)
    ][1:]
    fed = tokens if at_once else 1
    return PeerRow(
        peer.name,
        version(peer.package),
        peer.form,
        what,
        fed / statistics.median(a for a, _ in pairs),
        fed / statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )
