"""Random models of the released sizes, in every form that the engines of the comparison read.

One `.pth` in bf16 with official names, shapes and ranks; GGUF files of the same numbers, F16 by our own
writer, Q8_0 and Q4_0 of that by llama.cpp's quantiser. Hidden units are zero as often as a trained model's:
the second norm gets a constant direction, and the channel mix's keys are moved against it.
"""

from __future__ import annotations

import ctypes
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from engine.models.names import expected_shapes, stored_shape
from engine.types import ModelSpec
from engine.weights.export import convert
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

VOCABULARY = 65_536
ZEROS = 0.86
GGUF = ("F16", "Q8_0", "Q4_0")


@dataclass(frozen=True, slots=True)
class Shape:
    """Layers, width, and the ranks of w, a, v and g."""

    layers: int
    width: int
    ranks: tuple[int, int, int, int]

    @property
    def spec(self) -> ModelSpec:
        ranks = tuple(sorted(zip("wavg", self.ranks, strict=True)))
        return ModelSpec("rwkv7", self.layers, self.width, 64, 4 * self.width, VOCABULARY, ranks)

    @property
    def sparse_bytes(self) -> int:
        """Of one token in bf16: weights without the rows of units that are zero; twice the state, in fp32."""
        C, ranks = self.width, sum(self.ranks)
        layer = (12 - 4 * ZEROS) * C * C + 2 * C * ranks + 22 * C
        state = 2 * self.layers * C * 64 * 4
        return round(2 * (self.layers * layer + VOCABULARY * C)) + state


SIZES = {
    "0.1B": Shape(12, 768, (64, 64, 32, 128)),
    "0.4B": Shape(24, 1024, (64, 64, 32, 128)),
    "1.5B": Shape(24, 2048, (96, 96, 64, 256)),
}


def model_file(folder: Path, size: str) -> Path:
    """The `.pth`, made if it is not there."""
    path = folder / f"{size}.pth"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        torch.save(_tensors(SIZES[size].spec), temporary)
        temporary.rename(path)
    return path


def gguf_file(folder: Path, size: str, kind: str) -> Path:
    """One of `GGUF`, made if it is not there."""
    path = folder / f"{size}.{kind}.gguf"
    if not path.is_file():
        temporary = path.with_suffix(".part.gguf")
        if kind == "F16":
            list(convert(model_file(folder, size), temporary, "gguf", dtype="fp16"))
        else:
            _quantise(gguf_file(folder, size, "F16"), temporary, kind)
        temporary.rename(path)
    return path


def _tensors(spec: ModelSpec) -> dict[str, Tensor]:
    return {name: _tensor(spec, name, shape) for name, shape in expected_shapes(spec).items()}


def _tensor(spec: ModelSpec, name: str, shape: tuple[int, ...]) -> Tensor:
    rng = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if name.endswith("ffn.key.weight"):
        made = _sparse_key(torch.randn(shape, generator=rng))
    elif name.endswith(("ffn.x_k", "ln2.weight", "ln2.bias")):
        made = torch.zeros(shape) if name.endswith("x_k") else torch.ones(shape)
    elif len(shape) == 2 and not name.endswith("r_k"):
        made = torch.randn(shape, generator=rng) * (0.5 / shape[-1] ** 0.5)
    else:
        made = tiny.value(name, shape, rng)
    return made.reshape(stored_shape(spec, name)).bfloat16()


def _sparse_key(key: Tensor) -> Tensor:
    """Its products with LN2's output, whose bias is all ones, are normal around −1.08 standard deviations."""
    width = key.shape[1]
    key /= width**0.5
    key -= key.mean(1, keepdim=True)
    return key - torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(ZEROS)) / width


def _quantise(source: Path, target: Path, kind: str) -> None:
    import llama_cpp  # pyright: ignore[reportMissingImports]

    llama: Any = llama_cpp  # its types are stricter than ctypes
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.nthread = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{kind}"), 2
    if llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)):
        raise RuntimeError(f"llama.cpp did not make {target.name}")
