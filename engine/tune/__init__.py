"""Tuning: rows, methods, the loop, run folders. Importing this loads no torch.

`python -m engine.tune FOLDER` runs what a folder asks for; `watch` and `estimate` are for whoever starts it.
"""

from __future__ import annotations

from engine.tune.log import read_events, watch
from engine.tune.sizes import estimate

__all__ = ["estimate", "read_events", "watch"]
