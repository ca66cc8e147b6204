"""What a run takes of memory and time, told before it starts: by formula, without torch.

Peak = weights as the base keeps them + what is trained, with its gradient and two moments, all fp32 +
activations of the rows that are there at once. With recompute those are what enters each block, and all of
one block; without, all of every block.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.models.int8_names import VALUE, is_quantised
from engine.models.names import counted_shapes, expected_shapes
from engine.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.types import ModelSpec, TuneConfig

BASE_BYTES = {"fp32": 4, "bf16": 2, "int8": 2, "nf4": 2}  # of a number that is in no few bits
GROUP = 64  # numbers of a packed row that share a scale
_PACKED_BITS = {"int8": 8, "nf4": 4}
_SCALE_BYTES = 2
TRAINED_BYTES = 16  # value, gradient, two moments

# Fitted to measurements on a CPU (tests/bench/README.md). What a block keeps of a token for its gradient:
# numbers of the run dtype for a channel and a unit of the channel mix, bytes of fp32 for a channel (the
# recurrence); and what the block at work takes beside.
BLOCK_NUMBERS, FFN_NUMBERS, FP32_BYTES, WORKING_BYTES = 22, 2, 70, 320
HEAD_ROWS = 512  # of which the logits are there at once, in fp32 twice
LOGIT_BYTES = 10
FIXED = {"cpu": 192 << 20, "cuda": 384 << 20}  # libraries; of a card not measured yet


def is_packed(name: str, shape: tuple[int, ...], base: str) -> bool:
    """Whether a base keeps a matrix in few bits: those of the blocks, whose rows are whole groups."""
    if base not in _PACKED_BITS or name == "head.weight" or not is_quantised(name):
        return False
    return (shape[0] if name.endswith(VALUE) else shape[1]) % GROUP == 0


def weight_bytes(spec: ModelSpec, base: str) -> int:
    """Of all frozen weights."""
    total = 0
    for name, shape, times in counted_shapes(spec):
        count = times * math.prod(shape)
        if is_packed(name, shape, base):
            total += count * _PACKED_BITS[base] // 8 + count // GROUP * _SCALE_BYTES
        else:
            total += count * BASE_BYTES[base]
    return total


def adapted_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """The matrices that adapters change: receptance, key, value and output, of both mixes."""
    ends = tuple(f".{name}.weight" for name in ("receptance", "key", "value", "output"))
    return {name: shape for name, shape in expected_shapes(spec).items() if name.endswith(ends)}


def trained_count(spec: ModelSpec, method: str, rank: int) -> int:
    """Numbers that are trained."""
    if method == "state":
        return spec.n_layer * spec.n_head * spec.head_size**2
    if method == "full":
        return sum(times * math.prod(shape) for _, shape, times in counted_shapes(spec))
    pairs = adapted_shapes(spec).values()
    if method == "miss":
        return sum(min(rank, width) * out for out, width in pairs)
    return sum(min(rank, *shape) * sum(shape) for shape in pairs)


def activation_bytes(spec: ModelSpec, config: TuneConfig, tokens: int, *, cuda: bool) -> int:
    """Of so many tokens at once."""
    C, run = spec.n_embd, 4 if config.base == "fp32" else 2
    block = tokens * (C * (BLOCK_NUMBERS * run + FP32_BYTES) + spec.n_ffn * FFN_NUMBERS * run)
    kept = spec.n_layer * tokens * C * run * 2  # what enters each block; the first layer's value with it
    blocks = kept + block if config.recompute else spec.n_layer * block
    blocks += tokens * C * WORKING_BYTES
    unpacked = 0 if config.base in {"fp32", "bf16"} else C * spec.n_ffn * run
    head = min(HEAD_ROWS, tokens) * spec.vocab_size * LOGIT_BYTES
    return blocks + unpacked + head + FIXED["cuda" if cuda else "cpu"]


def micro_batch(config: TuneConfig, longest: int) -> int:
    """Rows at once: as asked for, else as many as `context` tokens hold."""
    if config.micro_batch:
        return min(config.micro_batch, config.batch_size)
    return max(1, min(config.batch_size, config.context // max(1, min(longest, config.context))))


def estimate(
    config: TuneConfig,
    spec: ModelSpec,
    lengths: Iterable[int],
    *,
    tokens_per_second: float | None = None,
) -> Estimate:
    """What a run would take.

    Args:
        lengths: tokens of each training row (`Rows.lengths`).
        tokens_per_second: measured (`python -m engine.tune --probe`), or None.
    """
    each = [int(n) for n in lengths]
    longest = max(each, default=1)
    at_once = micro_batch(config, longest) * min(longest, config.context)
    weights = 0 if config.method == "full" else weight_bytes(spec, config.base)
    trained = TRAINED_BYTES * trained_count(spec, config.method, config.rank)
    if config.method == "full" and config.base == "bf16":
        trained += weight_bytes(spec, "bf16")  # the copies that are computed with
    activations = activation_bytes(spec, config, at_once, cuda=config.device != "cpu")
    tokens = round(sum(each) * config.steps * config.batch_size / max(1, len(each)))
    minutes = tokens / tokens_per_second / 60 if tokens_per_second else None
    return Estimate(
        weights + trained + activations, weights, activations, trained, tokens, tokens_per_second, minutes
    )
