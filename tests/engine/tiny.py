"""Random small RWKV-7 checkpoints with official names: every term of the equations matters in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from engine.models.rwkv7_names import UNUSED, block_shapes, expected_shapes, stored_shape
from engine.types import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def spec(
    n_layer: int = 2, n_embd: int = 32, head_size: int = 16, vocab_size: int = 96, rank: int = 8
) -> ModelSpec:
    """A small model's dimensions; F = 4C, four different ranks."""
    ranks = (("a", rank), ("g", 2 * rank), ("v", rank // 2), ("w", rank + 2))
    return ModelSpec("rwkv7", n_layer, n_embd, head_size, 4 * n_embd, vocab_size, ranks)


def _shapes(of: ModelSpec) -> dict[str, tuple[int, ...]]:
    """All names, block 0's unused ones included."""
    C, O = of.n_embd, of.vocab_size  # noqa: E741  the vocabulary's letter
    shapes: dict[str, tuple[int, ...]] = {"emb.weight": (O, C), "head.weight": (O, C)}
    shapes |= {"ln_out.weight": (C,), "ln_out.bias": (C,)}
    for layer in range(of.n_layer):
        shapes |= {f"blocks.{layer}.{name}": shape for name, shape in block_shapes(of, layer).items()}
    return shapes


def _values(name: str, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Norm weights around 1, mixtures within 0…1, k_a and k_k of order 1, matrices that keep the scale."""
    x = torch.randn(shape, generator=rng)
    if name.endswith(".weight") and len(shape) == 1:
        return 1 + 0.2 * x
    if ".x_" in name:
        return torch.sigmoid(x)
    if name.endswith(("k_k", "k_a")):
        return 0.8 + 0.3 * x
    if name.endswith(("w0", "a0", "v0")):
        return 2 * x
    if len(shape) == 1 or name.endswith("r_k"):
        return 0.3 * x
    return x * (1.5 / shape[-1] ** 0.5)


def tensors(of: ModelSpec, seed: int = 0, *, with_unused: bool = True) -> dict[str, Tensor]:
    """fp32 tensors by official name in official shapes ([1,1,C] vectors)."""
    rng = torch.Generator().manual_seed(seed)
    made = {
        name: _values(name, shape, rng).reshape(stored_shape(name, shape))
        for name, shape in _shapes(of).items()
    }
    return made if with_unused else {name: x for name, x in made.items() if name not in UNUSED}


def plain_tensors(of: ModelSpec, seed: int = 0) -> dict[str, Tensor]:
    """The same, as the model class takes them: vectors as [C], nothing unused, ln0 not folded."""
    made = tensors(of, seed)
    return {name: made[name].reshape(shape) for name, shape in expected_shapes(of).items()}


def save(path: Path, made: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> Path:
    """Writes `.pth` or `.safetensors`, by the path's suffix."""
    cast = {name: x.to(dtype) for name, x in made.items()}
    if path.suffix == ".pth":
        torch.save(cast, path)
    else:
        save_file(cast, path)
    return path


def checkpoint(
    path: Path, of: ModelSpec | None = None, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Path:
    """A random model's file at `path`."""
    return save(path, tensors(of or spec(), seed), dtype)
