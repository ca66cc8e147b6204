"""Other engines on the same tensors. Each is imported where it is measured; without it its rows are left out.

Sources read: `rwkv7_fast_v3a.py` of rwkv-quant-nv 1.2.1 (`RWKV7`, `bench_case`), `rwkv/model.py` of rwkv
0.8.32 (`forward_one_alt`), `LlamaForCausalLM` and `DynamicCache` of transformers 5.23, `chunk_rwkv7` of
fla-core 0.6.0.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tests.bench.gpu.ours import replayed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor


@contextmanager
def _given(tensors: dict[str, Tensor]) -> Iterator[None]:
    """Whatever file a peer loads, it gets these tensors; it may take them out of its dictionary."""
    before, torch.load = torch.load, lambda *_, **__: dict(tensors)
    try:
        yield
    finally:
        torch.load = before


class Albatross:
    """Version 3a as its program sets it up: fp16, state too, a graph per shape, embeddings on the host."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        import rwkv7_fast_v3a as v3a  # pyright: ignore[reportMissingImports]

        v3a.load_extensions("fp16")
        self._v3a = v3a
        with _given(tensors):
            self._model = v3a.RWKV7()

    def run(self, batch: int, tokens: int) -> Callable[[], object]:
        """The graph that `bench_case` replays: the input rows are on the device, nothing is sampled."""
        model, state = self._model, self._model.zero_state(batch)
        path = self._v3a.select_path(batch, tokens)
        ids = torch.arange(batch * tokens).view(batch, tokens) * 1103515245 % self._v3a.V
        x = model.embed(ids).clone()
        return replayed(lambda: model.forward_from_x(x, state, path), x.device)


class Package:
    """rwkv 0.8.32 with its CUDA graph: `forward_one_alt` between buffers that stay, then its own sampler."""

    def __init__(self, tensors: dict[str, Tensor], strategy: str = "cuda fp16") -> None:
        for name, value in (("RWKV_V7_ON", "1"), ("RWKV_JIT_ON", "1"), ("RWKV_CUDA_ON", "0")):
            os.environ[name] = value
        from rwkv.model import RWKV
        from rwkv.utils import PIPELINE

        with _given(tensors):
            self._model: Any = RWKV("given", strategy)
        self._pipeline: Any = PIPELINE(self._model, "rwkv_vocab_v20230424")

    def loop(self) -> Callable[[], int]:
        """From a token to the next one, on the host."""
        model, emb = self._model, self._model.z["emb.weight"]
        state = model.generate_zero_state()
        x = emb[1].clone()
        out = torch.empty(emb.shape[0], dtype=x.dtype, device=x.device)

        def step() -> None:
            logits, after = model.forward_one_alt(x, state)
            out.copy_(logits)
            for held, its in zip(state, after, strict=True):
                held.copy_(its)

        for _ in range(3):  # TorchScript compiles in its first runs
            step()
        replay, token = replayed(step, x.device), 1

        def one() -> int:
            nonlocal token
            x.copy_(emb[token])
            replay()
            token = self._pipeline.sample_logits(out, temperature=1.0, top_p=0.5)
            return token

        return one


def fla_recurrence(inputs: tuple[Tensor, ...], state: Tensor) -> Callable[[], object]:
    """fla's `chunk_rwkv7` (its state is [K,V]) with the bound on decays that lets it use tensor cores.

    inputs: r, log_w, k, v, a, b [B,T,H,N]; state [B,H,V,K], fp32.
    """
    from fla.ops.rwkv7 import chunk_rwkv7  # pyright: ignore[reportMissingImports]

    turned = state.mT.contiguous()
    return lambda: chunk_rwkv7(
        *inputs, initial_state=turned, output_final_state=True, safe_gate=True, lower_bound=-0.6066
    )


class Transformer:
    """A Llama of about the size with its usual cache: what a token costs after a long history."""

    def __init__(self, layers: int, width: int, vocabulary: int, device: torch.device) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM  # pyright: ignore[reportMissingImports]

        config = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=4 * width * 2 // 3 // 64 * 64,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            max_position_embeddings=1 << 18,
        )
        with torch.device(device):
            self._model: Any = LlamaForCausalLM(config)
        self._model.to(torch.bfloat16).eval()
        self._heads, self._device = width // 64, device

    def after(self, context: int) -> Callable[[], object]:
        """A token after `context` others, whose keys and values are random numbers."""
        from transformers import DynamicCache  # pyright: ignore[reportMissingImports]

        cache = DynamicCache()
        for layer in range(self._model.config.num_hidden_layers):
            keys, values = torch.randn(
                2, 1, self._heads, context, 64, dtype=torch.bfloat16, device=self._device
            )
            cache.update(keys, values, layer)
        token = torch.ones(1, 1, dtype=torch.int64, device=self._device)

        def one() -> object:
            out = self._model(token, past_key_values=cache, use_cache=True).logits
            cache.crop(-1)
            return out

        return one
