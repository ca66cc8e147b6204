"""The number types of GGUF files: block sizes, mapped tensors and dequantised ones, by the `gguf` package."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from engine.errors import FileChanged, UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from engine.weights.gguf_header import TensorInfo

# types whose numbers are torch's own, by torch's name: read by mapping
PLAIN = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_PIECE = 1 << 18  # numbers that are dequantised at a time: what fits a processor's cache is quickest


def type_name(kind: int) -> str:
    """ "Q8_0" and the like; the number of one that the package does not know."""
    from gguf.constants import GGMLQuantizationType

    return GGMLQuantizationType(kind).name if kind in set(GGMLQuantizationType) else str(kind)


@functools.cache
def _block(kind: int) -> tuple[int, int] | None:
    """Numbers and bytes of a block; None for a type that is not dequantised."""
    import numpy as np
    from gguf import quants
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    if kind not in set(GGMLQuantizationType):
        return None
    numbers, nbytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    try:
        quants.dequantize(np.zeros(nbytes, np.uint8), GGMLQuantizationType(kind))
    except NotImplementedError:
        return None
    return numbers, nbytes


def block_of(path: Path, kind: int) -> tuple[int, int]:
    """Numbers and bytes of a block.  Raises UnsupportedFormat: a type that is not dequantised."""
    found = _block(kind)
    if found is None:
        raise UnsupportedFormat(str(path), "gguf-type")
    return found


def map_file(path: Path, size: int) -> Tensor:
    """The bytes of a file, mapped: pages that are written to are copied, the file stays.

    Raises:
        FileChanged: it has not `size` bytes any more.
    """
    import torch

    if path.stat().st_size != size:
        raise FileChanged(str(path))
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)


def values(mapped: Tensor, info: TensorInfo) -> Tensor:
    """A tensor of the file: mapped where its type is plain, else dequantised, fp32."""
    import torch

    data, plain = mapped[info.start : info.start + info.nbytes], PLAIN.get(type_name(info.type))
    found = data.view(getattr(torch, plain)) if plain else dequantised(data, info.type)
    return found.reshape(info.shape)


def dequantised(data: Tensor, kind: int) -> Tensor:
    """Bytes of whole blocks → fp32, flat; a piece at a time, since copies are made on the way."""
    import torch

    found = _block(kind)
    if found is None:
        raise ValueError(kind)
    numbers, nbytes = found
    dequantise = FAST.get(type_name(kind)) or functools.partial(_by_package, kind)
    blocks, out, step = data.view(-1, nbytes), torch.empty(data.numel() // nbytes, numbers), _PIECE // numbers
    for begin in range(0, len(blocks), step):
        dequantise(blocks[begin : begin + step], out[begin : begin + step])
    return out.view(-1)


def _by_package(kind: int, blocks: Tensor, out: Tensor) -> None:
    import numpy as np
    import torch
    from gguf import quants
    from gguf.constants import GGMLQuantizationType

    row = blocks.numpy().reshape(1, -1)  # one row: the package loops over rows
    with np.errstate(all="ignore"):  # whoever loads the numbers looks for NaN and infinity
        found = quants.dequantize(row, GGMLQuantizationType(kind))
    out.copy_(torch.from_numpy(found).view(out.shape))


def _q8_0(blocks: Tensor, out: Tensor) -> None:
    """Per block a scale in fp16 and 32 bytes with a sign; 3.5 times as fast as the package."""
    import torch

    scale = blocks[:, :2].contiguous().view(torch.float16).float()
    torch.mul(blocks[:, 2:].contiguous().view(torch.int8), scale, out=out)


# type → a quicker way than the package's, with the same result
FAST: dict[str, Callable[[Tensor, Tensor], None]] = {"Q8_0": _q8_0}
