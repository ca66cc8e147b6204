"""What a file or folder is, told from its names: a model, or something that belongs to one. Only reading a
part needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.weights.archive import open_file
from engine.weights.part_names import ADAPTER_CONFIG, is_adapter, is_tuned_state

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["model", "tuned-state", "adapter"]


@dataclass(frozen=True, slots=True)
class Part:
    """What belongs to a model and is none.

    Attributes:
        kind: "tuned-state" or "adapter".
        form: a key of `TUNED_FORMATS`, or of `FORMULAS`.
        shape: L, H, N, N of a tuned state; the number of weights and the rank of an adapter.
        alpha: of a LoRA whose file says it.
    """

    kind: Kind
    form: str
    shape: tuple[int, ...]
    alpha: float | None = None


def part_of(path: Path) -> Part | None:
    """What lies at `path`, if it is no model.  Raises: see `kind_of`, `read_adapter`, `open_tuned_state`."""
    from engine.weights.adapters import read_adapter
    from engine.weights.tuned import open_tuned_state

    kind = kind_of(path)
    if kind == "tuned-state":
        opened = open_tuned_state(path)
        return Part(kind, opened.form, (len(opened.names), *opened.shape))
    if kind == "adapter":
        adapter = read_adapter(path)
        return Part(kind, adapter.kind, (len(adapter.parts), adapter.rank), adapter.alpha)
    return None


def kind_of(path: Path) -> Kind:
    """ "model" also for weights of no RWKV: `read_spec` says what is wrong with them.

    Raises:
        ModelNotFound, DiskFailed, UnsupportedFormat, WeightsCorrupt: nothing there that can be opened.
    """
    if (path / ADAPTER_CONFIG).is_file():
        return "adapter"
    names = open_file(path).shapes
    if is_tuned_state(names):
        return "tuned-state"
    return "adapter" if is_adapter(names) else "model"
