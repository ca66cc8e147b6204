"""What a file or folder is, told from its names: a model, or something that belongs to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.weights.adapters import CONFIG, is_adapter
from engine.weights.archive import open_file
from engine.weights.tuned import is_tuned_state

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["model", "tuned-state", "adapter"]


def kind_of(path: Path) -> Kind:
    """ "model" also for weights of no RWKV: `read_spec` says what is wrong with them.

    Raises:
        ModelNotFound, DiskFailed, UnsupportedFormat, WeightsCorrupt: nothing there that can be opened.
    """
    if (path / CONFIG).is_file():
        return "adapter"
    names = open_file(path).shapes
    if is_tuned_state(names):
        return "tuned-state"
    return "adapter" if is_adapter(names) else "model"
