"""One file for each RWKV version, and the state that they share. The table from name to class.

Names are resolved on first use: `engine.models.names` and `engine.models.state_layout` load no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.models.architectures import ARCHITECTURES as ARCHITECTURES
    from engine.models.rwkv7 import Rwkv7 as Rwkv7
    from engine.models.state import State as State

_HOMES = {
    "ARCHITECTURES": "engine.models.architectures",
    "Rwkv7": "engine.models.rwkv7",
    "State": "engine.models.state",
}

__all__ = ["ARCHITECTURES", "Rwkv7", "State"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'engine.models' has no attribute {name!r}")
