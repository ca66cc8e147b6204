"""The state as a value."""

from __future__ import annotations

import pytest
import torch

from engine.errors import StateMismatch
from engine.models.state import State, stack


def make(batch=2, seed=0, width=3) -> State:
    rng = torch.Generator().manual_seed(seed)
    return State(
        "rwkv7",
        {
            "wkv_BLHVK": torch.randn(batch, 1, 2, 4, 4, generator=rng),
            "att_shift_BLC": torch.randn(batch, 1, width, generator=rng),
        },
    )


def test_clone_shares_nothing():
    state = make()
    copy = state.clone()
    copy.tensors["wkv_BLHVK"].zero_()
    assert state.max_difference(make()) == 0.0
    assert copy.max_difference(state) == 1.0


def test_rows_come_back_out_of_a_stack():
    one, two = make(batch=1, seed=1), make(batch=2, seed=2)
    both = stack([one, two])
    assert both.batch == 3
    assert both.nbytes == one.nbytes + two.nbytes
    assert both.row(0).max_difference(one) == 0.0
    assert both.select([1, 2]).max_difference(two) == 0.0
    assert both.select([2, 1]).max_difference(two) > 0.0


def test_a_row_shares_nothing():
    state = make()
    state.row(1).tensors["wkv_BLHVK"].zero_()
    assert state.max_difference(make()) == 0.0


def test_another_layout_is_refused():
    with pytest.raises(StateMismatch):
        make().max_difference(make(width=4))
    with pytest.raises(StateMismatch):
        stack([make(), make(width=4)])


def test_stack_takes_states_of_different_batch():
    assert stack([make(batch=3), make(batch=1)]).batch == 4
