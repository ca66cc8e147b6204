"""Weights to begin training from nothing with: the official RWKV-7 initialisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from engine.types import ModelSpec

# exponent of the channel's position in 1 − position^(exponent · (1 − layer/L)), for each mixture
_MIX_EXPONENTS = {"r": 0.2, "w": 0.9, "k": 0.7, "v": 0.7, "a": 0.9, "g": 0.2}


def suggested_ranks(n_embd: int) -> tuple[tuple[str, int], ...]:
    """The official low-rank sizes for a width, multiples of 32, as `ModelSpec.ranks` holds them."""
    factors = {"a": 2.5, "g": 5.0, "v": 1.7, "w": 2.5}
    return tuple((x, max(32, round(f * math.sqrt(n_embd) / 32) * 32)) for x, f in factors.items())


def _orthogonal(rows: int, columns: int, gain: float, rng: torch.Generator) -> Tensor:
    """[rows, columns] with orthonormal rows or columns, times gain."""
    tall = torch.randn(max(rows, columns), min(rows, columns), generator=rng)
    q, r = torch.linalg.qr(tall)
    q = q * r.diagonal().sign()
    return gain * (q if rows >= columns else q.T)


def _uniform(rows: int, columns: int, bound: float, rng: torch.Generator) -> Tensor:
    return (torch.rand(rows, columns, generator=rng) * 2 - 1) * bound


def _ramps(spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """Two shapes over the channels [C]: −0.5…0.5, and within each head a signed square from −1 to 1."""
    channel = torch.arange(spec.n_embd)
    linear = channel / (spec.n_embd - 1) - 0.5
    middle = (spec.head_size - 1) / 2
    within = (channel % spec.head_size - middle) / middle
    return linear, within * within.abs()


def _vectors(spec: ModelSpec, layer: int) -> dict[str, Tensor]:
    """The vectors of one block, under names without "blocks.i."."""
    C, last = spec.n_embd, max(spec.n_layer - 1, 1)
    ratio0, ratio1 = layer / last, 1 - layer / spec.n_layer
    position = torch.arange(C) / C
    linear, zigzag = _ramps(spec)
    out = {f"att.x_{m}": 1 - position ** (e * ratio1) for m, e in _MIX_EXPONENTS.items()}
    ramp = torch.arange(C) / (C - 1)
    out["att.w0"] = -6 + 6 * ramp ** (1 + ratio0**0.3) + 0.5 + 2.5 * zigzag
    out["att.a0"] = -0.19 + 0.3 * zigzag + 0.4 * linear
    out["att.v0"] = 0.73 - 0.4 * linear
    out["att.k_k"] = 0.71 - 0.1 * linear
    out["att.k_a"] = torch.full((C,), 1.02)
    out["att.ln_x.weight"] = torch.full((C,), ((1 + layer) / spec.n_layer) ** 0.7)
    out["att.ln_x.bias"] = torch.zeros(C)
    out["ffn.x_k"] = 1 - position ** (ratio1**4)
    for norm in ("ln0", "ln1", "ln2") if layer == 0 else ("ln1", "ln2"):
        out[f"{norm}.weight"], out[f"{norm}.bias"] = torch.ones(C), torch.zeros(C)
    return out


def _matrices(spec: ModelSpec, rng: torch.Generator) -> dict[str, Tensor]:
    """The matrices of one block. Output matrices are zero: a fresh block passes its input on."""
    C, F = spec.n_embd, spec.n_ffn
    out = {"att.r_k": torch.full((spec.n_head, spec.head_size), -0.04)}
    for letter in "wavg":
        rank = spec.rank(letter)
        out[f"att.{letter}1"] = torch.zeros(C, rank)
        out[f"att.{letter}2"] = _orthogonal(rank, C, 0.1, rng)
    out["att.receptance.weight"] = _uniform(C, C, 0.5 / math.sqrt(C), rng)
    out["att.key.weight"] = _uniform(C, C, 0.05 / math.sqrt(C), rng)
    out["att.value.weight"] = _uniform(C, C, 0.5 / math.sqrt(C), rng)
    out["att.output.weight"] = torch.zeros(C, C)
    out["ffn.key.weight"] = _uniform(F, C, 0.5 / math.sqrt(C), rng)
    out["ffn.value.weight"] = torch.zeros(C, F)
    return out


def initial_tensors(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    """fp32 tensors by official name, vectors as [C]; the same seed gives the same weights."""
    rng = torch.Generator().manual_seed(seed)
    C, O = spec.n_embd, spec.vocab_size  # noqa: E741  the vocabulary's letter
    gain = 0.5 * math.sqrt(max(O / C, 1.0))
    out = {"emb.weight": _uniform(O, C, 1e-4, rng), "head.weight": _orthogonal(O, C, gain, rng)}
    out["ln_out.weight"], out["ln_out.bias"] = torch.ones(C), torch.zeros(C)
    for layer in range(spec.n_layer):
        block = _vectors(spec, layer) | _matrices(spec, rng)
        out |= {f"blocks.{layer}.{name}": x for name, x in block.items()}
    return out
