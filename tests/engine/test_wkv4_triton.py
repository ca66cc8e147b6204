"""wkv4's Triton kernel against the sequential recurrence in fp64: values, lengths, extreme weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch

from engine.models.state import relative_difference
from engine.ops.wkv4 import wkv4_naive
from tests.engine.poison import poison_new_memory
from tests.engine.test_wkv4 import arguments, called

pytest.importorskip("triton", reason="Triton has wheels for Linux only; elsewhere there are no kernels")

from engine.ops.wkv4.triton_serial import wkv4_triton_serial

if TYPE_CHECKING:
    from engine.ops.wkv4.naive import Average

serial = partial(wkv4_triton_serial, lengths=None)
VALUES = 1e-5  # of the largest value: every step rounds the exponent, as the official package does


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison_new_memory(monkeypatch)


def single(exact):
    return [x.detach().float() for x in exact]


def average(parts) -> Average:
    return parts[0], parts[1], parts[2]


def check(got, expected):
    for x, reference in zip(got, expected, strict=True):
        assert torch.isfinite(x).all()
        assert relative_difference(x, reference) < VALUES


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("zero_state", [True, False])
@pytest.mark.parametrize(("T", "C"), [(1, 32), (2, 5), (33, 40)])
def test_it_equals_the_recurrence(T, C, zero_state, scale):
    exact = arguments(2, T, C, zero_state=zero_state, scale=scale)
    check(called(serial, single(exact)), called(wkv4_naive, exact))


def test_rows_of_different_length_and_what_stands_behind_them():
    lengths = torch.tensor([9, 1, 6])
    fed = torch.arange(9) < lengths[:, None]
    log_w, u, k, v, *state = single(arguments(3, 9, 8))
    expected = wkv4_naive(log_w, u, k, v, average(state), lengths)
    k, v = (torch.where(fed[:, :, None], x, float("nan")) for x in (k, v))
    y, new = wkv4_triton_serial(log_w, u, k, v, average(state), lengths)
    check((y[fed], *new), (expected[0][fed], *expected[1]))


def test_splitting_anywhere_gives_the_same_state():
    log_w, u, k, v, *state = single(arguments(1, 12, 8))
    whole, end = serial(log_w, u, k, v, average(state))
    for cut in range(1, 12):
        first, middle = serial(log_w, u, k[:, :cut], v[:, :cut], average(state))
        second, last = serial(log_w, u, k[:, cut:], v[:, cut:], middle)
        assert torch.equal(torch.cat((first, second), 1), whole)
        assert all(torch.equal(x, y) for x, y in zip(last, end, strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no card that PyTorch can use")
@pytest.mark.parametrize("T", [1, 17, 333])
def test_on_a_card(T):
    exact = arguments(2, T, 100)
    got = called(serial, [x.cuda() for x in single(exact)])
    check([x.cpu() for x in got], called(wkv4_naive, exact))
