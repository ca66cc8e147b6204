"""PiSSA: a weight is split into its r largest singular directions, B·A, which are trained, and a frozen rest.

y = (W − B₀·A₀)·x + B·A·x with B₀ = U·√S and A₀ = √S·Vᵀ to begin with, so that nothing changes before the
first step. Written are the factors and, in the same file, those of the beginning; RWKV-PEFT's two `.pth`
files are made of it on export (`engine.weights.export_pissa`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.ops.adapted import LORA_A, LORA_B
from engine.tune.methods.adapters import put_tensors, write_file
from engine.tune.methods.method import Method, seeded
from engine.tune.sizes import adapted_shapes
from engine.weights.archive import open_archive
from engine.weights.recognise import recognise

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model
    from engine.types import TuneConfig

    Tensors = dict[str, Tensor]

FILE = "pissa.safetensors"
EXACT_BELOW = 1024  # smaller sides than this are decomposed exactly, larger ones by random projections
_MORE, _ROUNDS = 16, 4  # columns beyond the rank, and power iterations


def factors(weight: Tensor, rank: int, name: str, seed: int) -> tuple[Tensor, Tensor]:
    """A₀ [r,in] and B₀ [out,r], fp32, from the r largest singular values."""
    w = weight.float()
    if min(w.shape) <= EXACT_BELOW:
        u, s, vh = torch.linalg.svd(w, full_matrices=False)
    else:
        u, s, vh = _largest(w, rank, seeded(name, seed))
    root = s[:rank].sqrt()
    return root[:, None] * vh[:rank], u[:, :rank] * root


def _largest(w: Tensor, rank: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Halko, Martinsson and Tropp's randomised decomposition (arXiv 0909.4061, algorithms 4.4 and 5.1)."""
    columns = min(rank + _MORE, *w.shape)
    q = torch.linalg.qr(w @ torch.randn(w.shape[1], columns, generator=rng).to(w.device)).Q
    for _ in range(_ROUNDS):
        q = torch.linalg.qr(w @ torch.linalg.qr(w.mT @ q).Q).Q
    u, s, vh = torch.linalg.svd(q.mT @ w, full_matrices=False)
    return q @ u, s, vh


def _kept(path: Path, config: TuneConfig) -> Tensors:
    """The first factors of every matrix, from the numbers that are stored."""
    archive = open_archive(path)
    spec = recognise(str(path), archive.shapes)
    found: Tensors = {}
    for name, shape in adapted_shapes(spec).items():
        a, b = factors(archive.get(name).reshape(shape), min(config.rank, *shape), name, config.seed)
        found |= {name + LORA_A: a.contiguous(), name + LORA_B: b.contiguous()}
    return found


def _change(name: str, x: Tensor, kept: Tensors) -> Tensor:
    """What stays frozen of a weight, fp32."""
    if name + LORA_A not in kept:
        return x
    a, b = kept[name + LORA_A].to(x.device), kept[name + LORA_B].to(x.device)
    return torch.addmm(x.float(), b, a, alpha=-1)


def _trained(model: Model, config: TuneConfig, kept: Tensors) -> Tensors:  # noqa: ARG001  a method's form
    return {name: x.clone().to(model.device) for name, x in kept.items()}


def _put(model: Model, trained: Tensors, config: TuneConfig) -> None:  # noqa: ARG001
    put_tensors(model, trained)


def _write(trained: Tensors, kept: Tensors, config: TuneConfig, folder: Path) -> str:  # noqa: ARG001
    first = {name.replace(".weight.lora_", ".init_lora_"): x for name, x in kept.items()}
    last = {name.replace(".weight.", "."): x for name, x in trained.items()}
    write_file(folder / FILE, first | last)
    return FILE


METHOD = Method(_trained, _put, _write, _kept, _change)
