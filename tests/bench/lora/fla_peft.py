"""The peer: `RWKV7ForCausalLM` of flash-linear-attention 0.6.0 with peft's LoRA, as its users train it.

Its own kernels, norms and cross-entropy; PyTorch's fused AdamW; adapters in bf16 as the weights (fp32, which
ours are kept in, would be slower). Read: `fla/models/rwkv7`, `fla/layers/rwkv7.py` of 0.6.0, peft 0.21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

from engine.tune.optimizer import BETAS, EPS
from engine.weights.load import read_spec
from tests.bench.gpu_tuning import device
from tests.bench.lora.case import CLIP, RATE
from tests.engine.samples import fla_tensors

if TYPE_CHECKING:
    from engine.types import ModelSpec
    from tests.bench.lora.case import Case

NOT_LEARNT = -100
ADAPTED = ["r_proj", "k_proj", "v_proj", "o_proj", "key", "value"]  # the same six of a layer as ours


class Fla:
    def __init__(self, path: str, case: Case, *, chunked_head: bool) -> None:
        spec = read_spec(path)
        model = adapted(model_of(spec, path, chunked_head=chunked_head), case)
        if case.recompute:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.train()
        self._model = model
        self._trained = [x for x in model.parameters() if x.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._trained, lr=RATE, betas=BETAS, eps=EPS, weight_decay=0.0, fused=True
        )
        ids = case.ids(spec.vocab_size).to(device())
        self._inputs, self._targets = ids[:, :-1].contiguous(), ids[:, 1:].clone()
        self._targets[:, : case.first_learnt - 1] = NOT_LEARNT

    def step(self) -> float:
        loss = self._model(input_ids=self._inputs, shift_labels=self._targets, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(loss.detach())


def model_of(spec: ModelSpec, path: str, *, chunked_head: bool) -> Any:
    """The official tensors under fla's names, in bf16, on the device; nothing is initialised."""
    from fla.models import RWKV7Config, RWKV7ForCausalLM  # pyright: ignore[reportMissingImports]

    config = RWKV7Config(
        hidden_size=spec.n_embd,
        intermediate_size=spec.n_ffn,
        num_hidden_layers=spec.n_layer,
        head_dim=spec.head_size,
        vocab_size=spec.vocab_size,
        **{f"{whole}_low_rank_dim": spec.rank(letter) for whole, letter in RANKS.items()},
        use_l2warp=False,
        fuse_cross_entropy=not chunked_head,
        fuse_linear_cross_entropy=chunked_head,
    )
    with torch.device("meta"):
        model = RWKV7ForCausalLM(config)
    tensors = {name: x.to(device()).contiguous() for name, x in fla_tensors(load_file(path)).items()}
    model.load_state_dict(tensors, strict=True, assign=True)
    return model


RANKS = {"decay": "w", "gate": "g", "a": "a", "v": "v"}


def adapted(model: Any, case: Case) -> Any:
    """With peft's LoRA on what ours changes; all else frozen."""
    import peft  # pyright: ignore[reportMissingImports]

    config = peft.LoraConfig(
        r=case.rank, lora_alpha=case.rank, lora_dropout=0.0, target_modules=ADAPTED, bias="none"
    )
    return peft.get_peft_model(model, config, autocast_adapter_dtype=False)
