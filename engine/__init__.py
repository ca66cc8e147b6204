"""The engine: load RWKV weights, feed tokens, sample, keep states. Knows nothing of any front end.

Names are resolved on first use: importing this package (or `engine.types`, `engine.errors`) loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.job import Job as Job
    from engine.service import Engine as Engine
    from engine.tokenizer import Tokenizer as Tokenizer
    from engine.tokenizer import load_tokenizer as load_tokenizer

_HOMES = {
    "Engine": "engine.service",
    "Job": "engine.job",
    "Tokenizer": "engine.tokenizer",
    "load_tokenizer": "engine.tokenizer",
}

__all__ = ["Engine", "Job", "Tokenizer", "load_tokenizer"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
