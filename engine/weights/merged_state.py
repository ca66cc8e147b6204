"""Models with a tuned state merged in (RWKV-PEFT's `merge_state.py` adds its tensors to the model's file).

The model is read without it, and says so; `tuned.merged_state` reads the state.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.weights.archive import Archive

NOTE = "tuned-state"
ENDING = ".att.time_state"


def without_state(archive: Archive) -> Archive:
    """The model alone, with a note in its `notes`; an archive of nothing but a state stays as it is."""
    plain = {name: shape for name, shape in archive.shapes.items() if not name.endswith(ENDING)}
    if not plain or len(plain) == len(archive.shapes):
        return archive
    return replace(archive, shapes=plain, notes=archive.notes | {NOTE: "merged"})
