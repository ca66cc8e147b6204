"""Random small checkpoints of every version, official names: every term of the equations matters in them."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from engine.models import ARCHITECTURES
from engine.models.int8 import forms, tier_tensor
from engine.models.names import block_shapes, expected_shapes, stored_shape, unused
from engine.models.prepare import prepare, prepared_shapes
from engine.types import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from engine.models.model import Model

ARCHS = ("rwkv4", "rwkv5.0", "rwkv5.1", "rwkv5.2", "rwkv6", "rwkv7")


def spec(
    n_layer: int = 2,
    n_embd: int = 32,
    head_size: int = 16,
    vocab_size: int = 96,
    rank: int = 8,
    *,
    arch: str = "rwkv7",
    n_ffn: int | None = None,
    log_bonus: bool = False,
) -> ModelSpec:
    """A small model's dimensions; F = 4C if not said otherwise, all ranks different."""
    ranks = {
        "rwkv6": (("d", rank + 2), ("m", rank)),
        "rwkv7": (("a", rank), ("g", 2 * rank), ("v", rank // 2), ("w", rank + 2)),
    }.get(arch, ())
    head_size = 1 if arch == "rwkv4" else head_size
    return ModelSpec(arch, n_layer, n_embd, head_size, n_ffn or 4 * n_embd, vocab_size, ranks, log_bonus)


def _shapes(of: ModelSpec) -> dict[str, tuple[int, ...]]:
    """All names, those that are never used included."""
    first = {f"blocks.0.{name}": shape for name, shape in block_shapes(of, 0).items()}
    return expected_shapes(of) | {name: first[name] for name in unused(of)}


def value(name: str, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Of the scale that training gives: see the comments."""
    x = torch.randn(shape, generator=rng)
    if name.endswith("time_decay"):  # from −8 to 2: decays from 0.9997 to 0.0006 per token
        return -8 + 10 * torch.rand(shape, generator=rng)
    if name.endswith(("time_first", "time_faaaa")):
        return 0.5 * x
    if name.endswith(".weight") and len(shape) == 1:  # norms
        return 1 + 0.2 * x
    if ".x_" in name or ".time_mix_" in name or (".time_maa_" in name and len(shape) == 1):
        return torch.sigmoid(x)  # shares of a token
    if name.endswith(("k_k", "k_a")):
        return 0.8 + 0.3 * x
    if name.endswith(("w0", "a0", "v0")):
        return 2 * x
    if len(shape) == 1 or name.endswith("r_k"):
        return 0.3 * x
    return x * (1.5 / shape[-1] ** 0.5)  # matrices keep the scale of what goes through them


def tensors(of: ModelSpec, seed: int = 0, *, with_unused: bool = True) -> dict[str, Tensor]:
    """fp32, by official name, in official shapes ([1,1,C] vectors); each from its name and the seed alone."""

    def made(name: str, shape: tuple[int, ...]) -> Tensor:
        # the generator takes 32 bits of a seed
        rng = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        return value(name, shape, rng).reshape(stored_shape(of, name))

    left_out = frozenset() if with_unused else unused(of)
    return {name: made(name, shape) for name, shape in _shapes(of).items() if name not in left_out}


def plain_tensors(of: ModelSpec, seed: int = 0) -> dict[str, Tensor]:
    """The same, as `prepare` takes them: vectors as [C], nothing unused."""
    return plain(of, tensors(of, seed))


def plain(of: ModelSpec, made: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in any official form as `prepare` takes them."""
    return {name: made[name].reshape(shape) for name, shape in expected_shapes(of).items()}


def with_extreme_decays(made: dict[str, Tensor]) -> dict[str, Tensor]:
    """Channels that forget nothing in a thousand tokens beside some that forget all in one."""

    def changed(name: str, x: Tensor) -> Tensor:
        if name.endswith("time_decay"):  # decays from exp(−6·10⁻⁶) to exp(−400)
            return torch.linspace(-12, 6, x.numel()).reshape(x.shape)
        return torch.linspace(-12, 12, x.numel()).reshape(x.shape) if name.endswith("att.w0") else x

    return {name: changed(name, x) for name, x in made.items()}


def model(of: ModelSpec, seed: int = 0, dtype: torch.dtype = torch.float32) -> Model:
    """A ready model without a file."""
    return ARCHITECTURES[of.arch](of, prepare(plain_tensors(of, seed), of, dtype))


def of_tier(of: ModelSpec, tier: str, seed: int = 0) -> Model:
    """A ready model of any tier."""
    read = plain_tensors(of, seed).__getitem__
    made = {name: tier_tensor(name, read, of, tier) for name in forms(prepared_shapes(of), of, tier)}
    return ARCHITECTURES[of.arch](of, made, tier=tier)


def ids(of: ModelSpec, count: int, batch: int = 1, seed: int = 1) -> Tensor:
    """Random tokens [B,T]."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, of.vocab_size, (batch, count), generator=rng)


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
