"""The table from an architecture's name to its class."""

from __future__ import annotations

from engine.models.rwkv7 import Rwkv7

ARCHITECTURES: dict[str, type[Rwkv7]] = {
    "rwkv7": Rwkv7,
}
