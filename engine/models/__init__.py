"""One file for each RWKV version, and the state that they share. The table from name to class."""

from __future__ import annotations

from engine.models.rwkv7 import Rwkv7
from engine.models.state import State

ARCHITECTURES: dict[str, type[Rwkv7]] = {
    "rwkv7": Rwkv7,
}

__all__ = ["ARCHITECTURES", "Rwkv7", "State"]
