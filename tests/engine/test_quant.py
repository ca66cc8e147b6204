"""Packed weights: what comes back is near what went in, and lies where the formats say."""

from __future__ import annotations

import pytest
import torch

from engine.quant import GROUP4, GROUP8, group_of, pack4, pack8, unpack, unpack4, unpack8, width_of

DTYPES = [torch.bfloat16, torch.float16]
SHAPES = [(1, 64), (3, 64), (7, 192), (64, 320), (65, 1024)]


def rows(R: int, W: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(R * W)
    return torch.randn(R, W, generator=rng) * torch.rand(R, 1, generator=rng) * 0.05


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("R", "W"), SHAPES)
def test_int8_is_off_by_half_a_step_at_most(R, W, dtype):
    x = rows(R, W)
    values, scale = pack8(x, dtype)
    assert (values.shape, values.dtype) == ((R, W), torch.int8)
    assert (scale.shape, scale.dtype) == ((R, W // GROUP8), dtype)
    assert int(values.min()) >= -127
    step = scale.float().repeat_interleave(GROUP8, dim=1)
    largest = x.unflatten(1, (-1, GROUP8)).abs().amax(2).repeat_interleave(GROUP8, dim=1)
    assert bool((unpack8(values, scale) - x).abs().le(0.50001 * step).all())
    assert bool((step <= largest / 127 * (1 + 2 * torch.finfo(dtype).eps) + 1.3e-7).all())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("R", "W"), SHAPES)
def test_int4_is_nearer_than_plain_rounding(R, W, dtype):
    x = rows(R, W)
    values, scale = pack4(x, dtype)
    assert (values.shape, values.dtype) == ((R, W // 2), torch.uint8)
    assert (scale.shape, scale.dtype) == ((R, W // GROUP4), dtype)
    groups = x.unflatten(1, (-1, GROUP4))
    step = groups.abs().amax(2, keepdim=True) / 7
    plain = ((groups / step).round() * step).flatten(1)
    found = (unpack4(values, scale) - x).norm()
    assert found <= (plain - x).norm()
    assert found <= 0.11 * x.norm()


def test_nibbles_lie_where_the_format_says():
    """Row r, group g: number j in the low half of byte j, number 16 + j in its high half."""
    nibbles = torch.arange(64).remainder(16)
    nibbles[:16] = 0  # the largest number, −8 steps, stands in every group
    values, scale = pack4((nibbles - 8.0)[None], torch.bfloat16)
    assert scale.tolist() == [[1.0, 1.0]]
    for i, nibble in enumerate(nibbles.tolist()):
        group, place = divmod(i, 32)
        byte = int(values[0, 16 * group + place % 16])
        assert (byte >> 4 if place >= 16 else byte & 0xF) == nibble


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pack", [pack4, pack8])
def test_zeros_and_tiny_numbers_stay_finite(pack, dtype):
    x = torch.zeros(4, 64)
    x[1], x[2, 3], x[3, 0] = 1e-9, 1e-30, 6e4
    back = unpack(*pack(x, dtype))
    assert bool(torch.isfinite(back).all())
    assert bool((back[0] == 0).all())
    assert float((back - x).abs().max()) <= 0.05 * 6e4 / 7


@pytest.mark.parametrize("pack", [pack4, pack8])
def test_packing_again_changes_nothing_more(pack):
    """What int8 numbers stand for is packed into the same again; int4's search may only come nearer."""
    values, scale = pack(rows(8, 128), torch.bfloat16)
    once = unpack(values, scale)
    twice = unpack(*pack(once, torch.bfloat16))
    assert float((twice - once).norm()) <= 0.006 * float(once.norm())
    assert (width_of(values), group_of(values)) == (128, 64 if pack is pack8 else 32)
