"""What `test_compile` compiles of the decode chain."""

from __future__ import annotations

import torch

from engine.ops.cards import card_of
from engine.ops.embed.triton_embed import embed
from tests.engine.compiling import meta


def plain(dtype: torch.dtype) -> None:
    tokens = torch.empty(1, dtype=torch.int64, device="meta")
    (emb,) = meta((65536, 2048), dtype=dtype)
    (x,) = meta((1, 2048), dtype=torch.float32)
    embed(tokens, emb, x, card_of(x.device))
