"""One tiny random model in every format that can be read: info, fuzz and round trips run over one table.

A maker writes into a folder and returns what is to be opened, a file or a folder. The weights are those of
`tiny.tensors(spec, SEED)`, so the same spec is the same model in every format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.engine import tiny

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.types import ModelSpec

SEED = 0


def make_pth(folder: Path, spec: ModelSpec) -> Path:
    return tiny.save(folder / "model.pth", tiny.tensors(spec, SEED))


def make_safetensors(folder: Path, spec: ModelSpec) -> Path:
    return tiny.save(folder / "model.safetensors", tiny.tensors(spec, SEED))


# format (a key of READERS or NAMINGS) → maker
SAMPLES: dict[str, Callable[[Path, ModelSpec], Path]] = {
    "pth": make_pth,
    "safetensors": make_safetensors,
}
