"""What `test_compile` compiles of the recurrences: prefill and training, at the shapes of a 1.5B."""

from __future__ import annotations

import torch

from engine.ops.cards import card_of
from engine.ops.chunk_states.settings import precision_for, settings_for
from engine.ops.gates7.triton_gates7 import gates7
from engine.ops.readout7.triton_readout7 import readout7
from engine.ops.token_mix.triton_token_mix import token_mix
from engine.ops.wkv4.triton_serial import wkv4_triton_serial
from engine.ops.wkv6.triton_chunk import wkv6_triton_chunk
from engine.ops.wkv6.triton_serial import wkv6_triton_serial
from engine.ops.wkv7.triton_chunk import wkv7_triton_chunk
from engine.ops.wkv7.triton_serial import wkv7_triton_serial

B, T, H, N = 1, 1024, 32, 64


def _wkv7_arguments(dtype: torch.dtype, *, requires_grad: bool) -> list[torch.Tensor]:
    """What a model gives: r, log_w, k, v, a, b, state."""
    r, k, v, a, b = (torch.empty(B, T, H, N, dtype=dtype, device="meta") for _ in range(5))
    log_w = torch.empty(B, T, H, N, device="meta")
    state = torch.empty(B, H, N, N, device="meta")
    return [x.requires_grad_(requires_grad) for x in (r, log_w, k, v, a, b, state)]


def _wkv7(dtype: torch.dtype, *, requires_grad: bool) -> list[torch.Tensor]:
    arguments = _wkv7_arguments(dtype, requires_grad=requires_grad)
    lengths = torch.empty(B, dtype=torch.int64, device="meta")
    settings = settings_for(card_of(arguments[0].device), dtype)
    y, state = wkv7_triton_chunk(*arguments, lengths=lengths, settings=settings)
    if requires_grad:
        torch.autograd.grad(y.sum() + state.sum(), arguments)
    return arguments


def wkv7(dtype: torch.dtype) -> None:
    arguments = _wkv7(dtype, requires_grad=False)
    wkv7_triton_serial(*arguments, lengths=None)


def wkv7_training(dtype: torch.dtype) -> None:
    _wkv7(dtype, requires_grad=True)


def _wkv6(dtype: torch.dtype, *, requires_grad: bool) -> None:
    r, log_w, k, v, _, _, state = _wkv7_arguments(dtype, requires_grad=requires_grad)
    u = torch.empty(H, N, device="meta").requires_grad_(requires_grad)
    lengths = torch.empty(B, dtype=torch.int64, device="meta")
    precision = precision_for(card_of(r.device), dtype)
    y, last = wkv6_triton_chunk(r, log_w, k, v, u, state, lengths, precision)
    if requires_grad:
        torch.autograd.grad(y.sum() + last.sum(), (r, log_w, k, v, u, state))
    else:
        wkv6_triton_serial(r, log_w, k, v, u, state, None)


def wkv6_and_4(dtype: torch.dtype) -> None:
    _wkv6(dtype, requires_grad=False)
    vector, part = torch.empty(H * N, device="meta"), torch.empty(B, H * N, device="meta")
    k, v = (torch.empty(B, T, H * N, dtype=dtype, device="meta") for _ in range(2))
    wkv4_triton_serial(vector, vector, k, v, (part, part, part), None)


def wkv6_training(dtype: torch.dtype) -> None:
    _wkv6(dtype, requires_grad=True)


def fused_parts(dtype: torch.dtype) -> None:
    """The elementwise parts of RWKV-7's block."""
    C, M = H * N, B * T

    def made(*shape: int, dtype: torch.dtype = dtype) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    lengths = torch.empty(B, dtype=torch.int64, device="meta")
    for count in (6, 1):
        token_mix(made(B, T, C), made(B, C), (made(C), made(C)), made(count, C), lengths)
    rows = made(M, C)
    its = gates7(rows, rows, rows, rows, (rows, rows), made(C), made(C), H)
    y = made(M, H, N, dtype=torch.float32)
    readout7(y, its.k, its.k, its.v, rows, made(H, N), (made(C), made(C)))
