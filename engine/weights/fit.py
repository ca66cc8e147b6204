"""What a model needs of a device's memory, told from its header alone, against what is free there.

Imports no torch.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine import memory, nvidia_driver
from engine.devices import chunk_for, has_bf16
from engine.errors import OutOfMemory
from engine.models.int8_names import INT4, ROW_TIERS, copied_bytes, quantised_bytes
from engine.models.names import counted_shapes
from engine.models.packed_names import BITS, INT4_FROM, asked_name, is_fp16, packed_bytes
from engine.ops import token7
from engine.types import ModelSpec
from engine.weights.archive import open_archive
from engine.weights.recognise import recognise

if TYPE_CHECKING:
    from collections.abc import Iterable

# tier → bytes of what is no matrix in few bits; weights of the tier that needs most first
RUN_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, **dict.fromkeys((*ROW_TIERS, *BITS), 2)}

# Peak of one prefill chunk, fitted to measurements (tests/engine/test_fit.py compares them anew): so many
# bytes for each token and channel, so many numbers of the run dtype for both and for each token and ffn
# unit, and what libraries take.
FP32_BYTES, RUN_NUMBERS, FFN_NUMBERS, FIXED = 200, 14, 3, 16 << 20
# RWKV-7's compiled step on a CPU: Numba, LLVM and their code, measured likewise.
COMPILER = 112 << 20
# On a card, beside these: states to go back to while decoding ahead; and, not measured yet, workspaces
# of libraries, decode graphs, kernels, and what the allocator cannot use.
CARD_STATES, CARD_FIXED = 8, 384 << 20
TIERS_OF_ONE_DTYPE = ("fp32", "bf16", "fp16")
STATES = 4  # the one before, the new one and its layers, and a copy that is being saved


@dataclass(frozen=True, slots=True)
class Size:
    """What of a model decides how much memory it takes; a catalogue knows this of files not yet here."""

    arch: str
    params: int
    n_layer: int
    n_embd: int
    n_ffn: int
    head_size: int = 64
    vocab_size: int = 65536

    @classmethod
    def of(cls, spec: ModelSpec) -> Size:
        params = sum(times * math.prod(shape) for _, shape, times in counted_shapes(spec))
        return cls(spec.arch, params, spec.n_layer, spec.n_embd, spec.n_ffn, spec.head_size, spec.vocab_size)


@dataclass(frozen=True, slots=True)
class Fit:
    """Bytes that one tier of a model needs on a device, and bytes free there (None: nobody knows).

    Attributes:
        state: of one sequence.  working: on top, while reading a prompt or writing a reply.
    """

    tier: str
    device: str
    weights: int
    state: int
    working: int
    free: int | None

    @property
    def name(self) -> str:
        """What a person calls the tier."""
        return asked_name(self.tier)

    @property
    def needed(self) -> int:
        return self.weights + self.state + self.working

    @property
    def fits(self) -> bool:
        return self.free is None or self.needed <= self.free


def estimate(
    source: Path | str | ModelSpec | Size,
    *,
    device: str = "auto",
    tiers: Iterable[str] | None = None,
) -> tuple[Fit, ...]:
    """One `Fit` for each tier, in the order asked for; none for those that the device does not compute with.

    Without `tiers` those that are offered: 4 bits only of large models.

    Args:
        source: a weights file or folder, whose header is read; or what is known of one.
        device: "cpu", "cuda", "cuda:1"; "auto" is CUDA only where torch is imported already and has it.

    Raises:
        ModelNotFound, UnsupportedFormat, WeightsCorrupt: of the file.
    """
    where = _device(device)
    return estimates(_size(source), where, free_bytes(where), tiers)


def estimates(
    size: Size, device: str, free: int | None, tiers: Iterable[str] | None = None
) -> tuple[Fit, ...]:
    """`estimate`, for those who have many sizes and look once at what is free."""
    wanted = offered(size, device) if tiers is None else [tier for tier in tiers if runs_on(tier, device)]
    return tuple(fit(size, tier, device, free) for tier in wanted)


def fit(size: Size, tier: str, device: str, free: int | None) -> Fit:
    """The arithmetic of `estimate`."""
    weights = weight_bytes(size, tier)
    state = state_bytes(size, tier)
    chunk = chunk_for(device.split(":", maxsplit=1)[0], weights)
    working = _working(size, tier, chunk) + (STATES - 1) * state
    if device != "cpu":
        working += CARD_STATES * state + CARD_FIXED
    elif size.arch == "rwkv7" and token7.is_worth_it(size.n_embd, size.n_ffn, size.head_size):
        working += COMPILER
    return Fit(tier, device, weights, state, working, free)


def runs_on(tier: str, device: str) -> bool:
    """Whether a device computes with this tier: those of rows only a CPU reads, packed ones only CUDA."""
    if tier in BITS:
        return device != "cpu"
    return tier not in ROW_TIERS or device == "cpu"


def offered(size: Size, device: str) -> list[str]:
    """The tiers that make sense for a model of this size on a device, the one that needs most first."""
    fp16_alone = not has_bf16(device)
    unfit = {tier for tier in RUN_BYTES if tier in BITS and is_fp16(tier) != fp16_alone}
    four = {INT4, *(tier for tier, bits in BITS.items() if bits == 4)}
    unfit |= four if size.params < INT4_FROM else set()
    unfit |= {"bf16"} if fp16_alone else set()
    return [tier for tier in RUN_BYTES if tier not in unfit and runs_on(tier, device)]


def best(fits: Iterable[Fit]) -> Fit | None:
    """The first that fits."""
    return next((each for each in fits if each.fits), None)


def check(size: Size, tier: str, device: str) -> Fit:
    """What a model needs on a device.  Raises OutOfMemory, with the next option, if that is not free."""
    needs = fit(size, tier, device, free_bytes(device))
    if needs.fits:
        return needs
    raise OutOfMemory(needs.needed, needs.free or 0, _next_option(size, needs))


def _next_option(size: Size, refused: Fit) -> str:
    """The hint of `OutOfMemory`: a smaller tier there, else main memory, else a smaller model."""
    for tier in offered(size, refused.device):
        smaller = fit(size, tier, refused.device, refused.free)
        if smaller.weights < refused.weights and smaller.fits:
            return smaller.name
    elsewhere = refused.device != "cpu" and fit(size, refused.tier, "cpu", free_bytes("cpu")).fits
    return "cpu" if elsewhere else "smaller-model"


def weight_bytes(size: Size, tier: str) -> int:
    """Bytes of all weights, numbers of few bits with their scales."""
    if tier in TIERS_OF_ONE_DTYPE:
        return size.params * RUN_BYTES[tier]
    spec = _spec(size)
    count, taken = (quantised_bytes if tier in ROW_TIERS else packed_bytes)(spec, tier)
    return (size.params - count) * RUN_BYTES[tier] + taken


def _spec(size: Size) -> ModelSpec:
    """A model of this size, whose low-rank matrices are not known."""
    ranks = tuple((letter, 1) for letter in "adgmvw")
    sizes = size.n_layer, size.n_embd, size.head_size, size.n_ffn, size.vocab_size
    return ModelSpec(size.arch, *sizes, ranks)


def state_bytes(size: Size, tier: str) -> int:
    """Bytes of one sequence's state: the recurrent memory in fp32, the token shifts in the run dtype."""
    run = RUN_BYTES[tier]
    memory_of_layer = 3 if size.arch == "rwkv4" else size.head_size
    return size.n_layer * size.n_embd * (4 * memory_of_layer + 2 * run)


def _working(size: Size, tier: str, chunk: int) -> int:
    run = RUN_BYTES[tier]
    of_token = size.n_embd * (FP32_BYTES + RUN_NUMBERS * run) + size.n_ffn * FFN_NUMBERS * run
    unpacked = (
        size.n_embd * size.n_ffn * run if tier not in TIERS_OF_ONE_DTYPE else 0
    )  # for a product with many rows
    copied = copied_bytes(_spec(size), tier)
    return chunk * of_token + unpacked + copied + size.vocab_size * 16 + FIXED


def _size(source: Path | str | ModelSpec | Size) -> Size:
    if isinstance(source, Size):
        return source
    if isinstance(source, ModelSpec):
        return Size.of(source)
    return Size.of(recognise(str(source), open_archive(Path(source)).shapes))


def _device(name: str) -> str:
    torch = sys.modules.get("torch")
    if name == "auto":
        return "cuda" if torch is not None and torch.cuda.is_available() else "cpu"
    return name


def free_bytes(device: str) -> int | None:
    """Bytes free on "cpu" or a CUDA device; None where that is not known.

    Where PyTorch is loaded it is asked, as it is the one that will take them; else the driver.
    """
    if device == "cpu":
        return memory.available_bytes()
    if "torch" not in sys.modules:
        return nvidia_driver.free_bytes(device)
    import torch  # waits where another thread has begun to

    try:
        return torch.cuda.mem_get_info(device)[0]
    except (RuntimeError, AssertionError):  # no such device, or torch without CUDA
        return None
