"""Writes a PiSSA as RWKV-PEFT does: two `.pth` files, the trained factors and those of the beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import UnsupportedFormat
from engine.weights.adapters import PISSA_INIT, read_adapter
from engine.weights.export_pth import write_table
from engine.weights.place import in_place_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

PISSA = "pissa.pth"
# file → ending of a tensor's name → its role in `Adapter.parts`
FILES = {
    PISSA_INIT: {"init_lora_A": "A0", "init_lora_B": "B0"},
    PISSA: {"lora_A": "A", "lora_B": "B"},
}


def write_pissa(source: Path, folder: Path) -> None:
    """Both files into a folder, in the dtype that is stored.

    Args:
        source: a file with all four factors of each weight, or one of RWKV-PEFT's with the other beside it.

    Raises:
        UnsupportedFormat: it is an adapter of another kind.
        ModelNotFound, WeightsCorrupt, DiskFailed.
    """
    adapter = read_adapter(source)
    if adapter.kind != "pissa":
        raise UnsupportedFormat(str(source), "adapter-kind")
    for file, endings in FILES.items():
        tensors = {
            f"{name.removesuffix('.weight')}.{ending}": matrices[role].contiguous()
            for name, matrices in adapter.parts.items()
            for ending, role in endings.items()
        }
        _write(folder / file, tensors)


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    entries = [(name, tuple(x.shape), x.dtype) for name, x in tensors.items()]
    with in_place_of(path) as temporary:
        for _ in write_table(temporary, entries, tensors.__getitem__):
            pass
