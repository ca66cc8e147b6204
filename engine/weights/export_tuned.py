"""Writes tuned states in the forms of `TUNED_FORMATS`, and into a model's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import InvalidRequest, WeightsCorrupt
from engine.weights.part_names import TIME_STATE
from engine.weights.place import check_place, in_place_of
from engine.weights.tuned import TUNED_FORMATS, open_tuned_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

    from engine.weights.tuned import TunedFormat

_SLACK = 1 << 20


def official_tensors(layers: dict[int, Tensor]) -> dict[str, Tensor]:
    """By the names that official files give them, in their orientation."""
    return {TIME_STATE.replace("LAYER", str(layer)): x for layer, x in layers.items()}


def _stored(x: Tensor, form: TunedFormat, dtype: torch.dtype) -> Tensor:
    """A layer's [H,V,K] as the form keeps it, rounded once."""
    x = (x.mT if form.turned else x).to(dtype).contiguous()
    return x[None] if form.batched else x


def convert_tuned_state(source: Path, target: Path, format: str, *, overwrite: bool = False) -> None:  # noqa: A002  the command's word
    """A tuned state in another program's form; of whatever model it is.

    Raises:
        InvalidRequest: no such format.
        ModelNotFound, UnsupportedFormat, WeightsCorrupt, DiskFailed, DiskFull.
    """
    opened = open_tuned_state(source)
    layers = opened.read()
    for layer, x in layers.items():
        if tuple(x.shape) != opened.shape or x.ndim != 3 or x.shape[1] != x.shape[2]:
            raise WeightsCorrupt(str(source), opened.names[layer], "[H, N, N]", str(list(x.shape)))
    write_tuned_state(target, layers, format, overwrite=overwrite)


def write_tuned_state(
    path: Path,
    state: dict[int, Tensor],
    format: str = "pth",  # noqa: A002  the command's word
    *,
    dtype: torch.dtype | None = None,
    overwrite: bool = False,
) -> None:
    """Writes layer → [H,V,K], whole or not at all.

    Args:
        format: a key of `TUNED_FORMATS`.
        dtype: in place of the form's own (RWKV-PEFT's files are bf16 or fp32).

    Raises:
        InvalidRequest: no such format.  DiskFailed, DiskFull.
    """
    if format not in TUNED_FORMATS:
        raise InvalidRequest(f"format {format}, not one of {', '.join(TUNED_FORMATS)}")
    form = TUNED_FORMATS[format]
    stored = {layer: _stored(x, form, dtype or form.dtype) for layer, x in sorted(state.items())}
    tensors = {form.name.replace("LAYER", str(layer)): x for layer, x in stored.items()}
    check_place(path, sum(x.nbytes for x in tensors.values()) + _SLACK, overwrite=overwrite)
    entries = [(name, tuple(x.shape), x.dtype) for name, x in tensors.items()]
    with in_place_of(path, overwrite=overwrite) as temporary:
        for _ in form.write(temporary, entries, tensors.__getitem__):
            pass
