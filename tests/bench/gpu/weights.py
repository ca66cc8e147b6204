"""RWKV-7 weights made on the device, with released shapes and a given share of zeros after the ReLU."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch

from engine.models import ARCHITECTURES
from engine.models.int8 import forms, tier_tensor
from engine.models.names import block_shapes, expected_shapes, unused
from engine.models.prepare import prepared_shapes
from engine.types import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.model import Model

VOCABULARY = 65_536


@dataclass(frozen=True, slots=True)
class Size:
    """A released model: L, C, low-rank sizes of w, a, v, g, and which share of hidden units is zero."""

    layers: int
    width: int
    ranks: tuple[int, int, int, int]
    zeros: float
    vocabulary: int = VOCABULARY

    def spec(self) -> ModelSpec:
        ranks = tuple(sorted(zip("wavg", self.ranks, strict=True)))
        return ModelSpec("rwkv7", self.layers, self.width, 64, 4 * self.width, self.vocabulary, ranks)


SIZES = {
    "0.1B": Size(12, 768, (64, 64, 32, 128), 0.80),
    "0.4B": Size(24, 1024, (64, 64, 32, 128), 0.83),
    "1.5B": Size(24, 2048, (96, 96, 64, 256), 0.86),
    "2.9B": Size(32, 2560, (96, 96, 64, 320), 0.88),
    "7.2B": Size(32, 4096, (128, 128, 96, 480), 0.90),
    "13.3B": Size(61, 4096, (192, 192, 128, 384), 0.90),
    "tiny": Size(2, 128, (16, 16, 8, 32), 0.86, 512),  # to try the scripts without a card
}


def made(size: Size, device: str, seed: int = 0) -> dict[str, Tensor]:
    """bf16, by official name, vectors as [C]; what peers read but never use is there, too."""
    of, rng = size.spec(), torch.Generator(device).manual_seed(seed)
    first = {f"blocks.0.{name}": shape for name, shape in block_shapes(of, 0).items()}
    shapes = expected_shapes(of) | {name: first[name] for name in unused(of)}
    tensors = {name: _values(name, shape, rng, device) for name, shape in shapes.items()}
    for layer in range(size.layers):
        _make_sparse(tensors, f"blocks.{layer}.", size.zeros)
    return {name: x.to(torch.bfloat16) for name, x in tensors.items()}


def _values(name: str, shape: tuple[int, ...], rng: torch.Generator, device: str) -> Tensor:
    """The scale that training gives, so that activations neither grow nor vanish."""
    x = torch.randn(shape, generator=rng, device=device)
    if name.endswith(".weight") and len(shape) == 1:
        return 1 + 0.1 * x
    if ".x_" in name:
        return torch.sigmoid(x)
    if name.endswith("w0"):  # decays from 0.55 to 0.999
        return torch.linspace(-6.5, 2.0, shape[0], device=device)
    if name.endswith(("k_k", "k_a")):
        return 0.8 + 0.1 * x
    if len(shape) == 1 or name.endswith("r_k"):
        return 0.1 * x
    x *= 0.5 / shape[-1] ** 0.5
    return x.to(torch.bfloat16) if x.numel() > 1 << 26 else x


def _make_sparse(tensors: dict[str, Tensor], block: str, zeros: float) -> None:
    """Keys see a number around −t deviations: LN2's bias is a direction that every row points away from."""
    name = block + "ffn.key.weight"
    key, share = tensors[name].float(), tensors[block + "ffn.x_k"]
    direction = torch.ones_like(share)
    tensors[block + "ln2.bias"] = direction
    below = NormalDist().inv_cdf(zeros)
    mixed = tensors[block + "ln2.weight"] * ((1 - share).square() + share.square()).sqrt()  # of two tokens
    spread = (key * mixed).norm(dim=1)
    along = key @ direction + below * spread
    tensors[name] = key - along[:, None] * direction / direction.square().sum()


def model_of(size: Size, tensors: dict[str, Tensor], tier: str) -> Model:
    """Ours, on the device where the tensors are."""
    of = size.spec()

    def read(name: str) -> Tensor:
        return tensors[name].float()

    ready = {name: tier_tensor(name, read, of, tier) for name in forms(prepared_shapes(of), of, tier)}
    return ARCHITECTURES[of.arch](of, ready, tier=tier)
