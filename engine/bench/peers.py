"""Other programs on the same weights and threads, in turn with ours; those that are installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from engine.bench.rows import LeftOut, PeerRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.bench.rows import Plan

PEERS = {"llama.cpp": "llama_cpp", "rwkv": "rwkv"}


def peers(_: Plan) -> Iterator[PeerRow | LeftOut]:
    """A row for each peer, or why there is none."""
    for name, module in PEERS.items():
        if find_spec(module) is None:
            yield LeftOut("peers", name, "not installed")
