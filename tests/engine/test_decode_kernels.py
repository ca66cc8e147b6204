"""The decode chain's kernels, interpreted, against their plain twins: shapes small, odd, one and many."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

from engine.ops.ffn_value.triton_sparse import ffn_value_sparse, units_room
from engine.ops.gemv.arguments import End
from engine.ops.time_mix_in.arguments import Ranks
from tests.engine.decode_checks import (
    FORMS,
    Maker,
    check_embed,
    check_ffn_value,
    check_head_step,
    check_project,
    check_time_mix_in,
)

FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16
DTYPES = (FP32, FP16, BF16)


@pytest.mark.parametrize(("O", "C", "B"), [(1, 1, 1), (5, 3, 2), (96, 32, 3), (7, 1100, 1)])
def test_embed(O, C, B):  # noqa: E741
    check_embed("cpu", BF16, O, C, B)


def test_a_token_beyond_the_table_reads_its_last_row():
    from engine.ops.embed.triton_embed import embed

    make = Maker("cpu", FP32)
    emb, x = make.of(5, 8), make.empty(2, 8)
    embed(torch.tensor([5, -1]), emb, x, card=make.card)
    assert torch.equal(x, emb[[4, 0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 2), (200, 100, 1)])
def test_project(shape, dtype):
    check_project("cpu", dtype, "plain", shape)


PACKED_SHAPES = [(1, 64, 1), (3, 192, 2), (130, 320, 1)]  # whole groups: 320 is 5 of int8, 10 of int4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", PACKED_SHAPES)
def test_normed_and_mixed(shape, form):
    check_project("cpu", BF16, form, shape, norm=True, mix=True, end=End.SQUARED_RELU)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("norm", "end"), [(False, End.ADD), (True, End.STORE)])
def test_before_and_after(norm, end, form):
    check_project("cpu", FP16, form, (70, 64, 2), norm=norm, end=end)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("C", "ranks", "B"),
    [(64, Ranks(10, 8, 4, 16), 1), (192, Ranks(33, 1, 0, 40), 1), (64, Ranks(3, 5, 7, 2), 2)],
)
def test_time_mix_in(C, ranks, B, form):
    check_time_mix_in("cpu", BF16, form, C, ranks, B)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("H", "N", "ranks", "B"),
    [
        (1, 16, Ranks(1, 1, 1, 1), 1),
        (3, 16, Ranks(10, 8, 0, 16), 2),
        (2, 64, Ranks(24, 20, 12, 40), 1),
        (1, 16, Ranks(192, 192, 128, 384), 1),
    ],
)
def test_head_step(H, N, ranks, B, dtype):
    check_head_step("cpu", dtype, H, N, ranks, B)


@pytest.mark.parametrize("zeros", [0.0, 0.86, 1.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (50, 3, 2), (300, 70, 1)])
def test_ffn_value(shape, zeros):
    check_ffn_value("cpu", BF16, "plain", shape, zeros)


@pytest.mark.parametrize("form", ["int8", "int4"])
@pytest.mark.parametrize("shape", [(1, 64, 1), (300, 192, 2)])
def test_ffn_value_packed(shape, form):
    check_ffn_value("cpu", FP16, form, shape, 0.7)


def test_what_is_no_number_is_not_skipped():
    make = Maker("cpu", FP32)
    matrix, hidden = make.matrix("plain", 64, 40), torch.zeros(1, 64)
    hidden[0, 3] = float("nan")
    x, normed, shift = make.fp32(1, 40), make.fp32(1, 40), make.of(1, 40)
    units = torch.zeros(units_room(make.card, 1, matrix), dtype=torch.int32)
    ffn_value_sparse(hidden, matrix, x, normed, shift, units, make.card)
    assert bool(x.isnan().all())


def test_zeros_are_skipped_whatever_their_weights_are():
    """A skipped row is not read: one that is not finite changes nothing."""
    make = Maker("cpu", FP32)
    matrix, hidden = make.matrix("plain", 64, 40), torch.zeros(1, 64)
    hidden[0, 5] = 2.0
    matrix.values[6:] = float("inf")
    x, normed, shift = torch.zeros(1, 40), make.fp32(1, 40), make.of(1, 40)
    units = torch.zeros(units_room(make.card, 1, matrix), dtype=torch.int32)
    ffn_value_sparse(hidden, matrix, x, normed, shift, units, make.card)
    assert torch.equal(x[0], 2 * matrix.values[5])


HALVES = (FP16, BF16)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 2), (40, 300, 17)])
@pytest.mark.parametrize("mix", [False, True])
def test_many_rows(mix, shape, dtype):
    check_project("cpu", dtype, "plain", shape, norm=True, mix=mix, end=End.SQUARED_RELU, many=True)


@pytest.mark.parametrize("dtype", HALVES)
def test_many_rows_are_added(dtype):
    check_project("cpu", dtype, "plain", (40, 64, 5), end=End.ADD, many=True)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(("C", "ranks", "B"), [(64, Ranks(10, 8, 4, 16), 5), (48, Ranks(33, 1, 0, 20), 18)])
def test_time_mix_in_of_many(C, ranks, B, dtype):
    check_time_mix_in("cpu", dtype, "plain", C, ranks, B, many=True)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (50, 3, 2), (600, 70, 17)])
def test_ffn_value_of_many(shape, dtype):
    check_ffn_value("cpu", dtype, "plain", shape, 0.5, many=True)
