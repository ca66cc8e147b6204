"""flash-linear-attention's RWKV-7 without a card: plain functions in the place of its kernels, most of them
its own references. Norms and the loss are PyTorch's where the model is built with `PLAIN`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from engine.ops.wkv7.naive import wkv7_naive

if TYPE_CHECKING:
    import pytest
    from torch import Tensor


def use_plain(patch: pytest.MonkeyPatch) -> None:
    """Until the test ends."""
    from fla.layers import rwkv7 as layer  # pyright: ignore[reportMissingImports]
    from fla.models.rwkv7 import modeling_rwkv7 as model  # pyright: ignore[reportMissingImports]
    from fla.ops.rwkv7 import (  # pyright: ignore[reportMissingImports]
        fused_addcmul,
        fused_k_update,
        gate_output_correction,
    )

    patch.setattr(layer, "token_shift", _shifted)
    patch.setattr(model, "token_shift", _shifted)
    patch.setattr(layer, "chunk_rwkv7", _recurrence)
    patch.setattr(layer, "fused_addcmul_rwkv7", fused_addcmul.torch_addcmul_rwkv7)
    patch.setattr(layer, "fused_k_rwkv7", fused_k_update.k_update_ref)
    patch.setattr(layer, "gate_output_correction", gate_output_correction.gate_output_correction_ref)
    patch.setitem(model.ACT2FN, "sqrelu", lambda x: torch.relu(x).square())


def _shifted(x: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
    """The token before, less this one; and the last token."""
    before = torch.nn.functional.pad(x, (0, 0, 1, -1))
    return before - x, x[:, -1:]


def _recurrence(
    *, r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, **_: Any
) -> tuple[Tensor, None]:
    state = torch.zeros(r.shape[0], r.shape[2], v.shape[-1], r.shape[-1])
    return wkv7_naive(r, w, k, v, a, b, state)[0].to(r.dtype), None
