"""The peer: `RWKV7ForCausalLM` of flash-linear-attention 0.6.0 with peft's LoRA, as its users train it.

Its own kernels, norms and cross-entropy; PyTorch's fused AdamW; adapters in bf16 as the weights (fp32, which
ours are kept in, would be slower). Read: `fla/models/rwkv7`, `fla/layers/rwkv7.py` of 0.6.0, peft 0.21.

fla's kernels need a card. All else was run without one: with the plain twins of its kernels and `PLAIN`, the
loss and the gradients of a tiny model are ours (`tests/engine/test_tune_bench.py`).
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
# fields of the model's config, by what computes norms and the loss
CHUNKED_HEAD = {"fuse_linear_cross_entropy": True, "fuse_cross_entropy": False}
ALL_LOGITS = {"fuse_linear_cross_entropy": False, "fuse_cross_entropy": True}
PLAIN = {"fuse_linear_cross_entropy": False, "fuse_cross_entropy": False, "fuse_norm": False}  # PyTorch
ADAPTED = ["r_proj", "k_proj", "v_proj", "o_proj", "key", "value"]  # the same six of a layer as ours


class Fla:
    def __init__(self, path: str, case: Case, form: dict[str, bool]) -> None:
        """`form`: `CHUNKED_HEAD`, `ALL_LOGITS` or `PLAIN`."""
        spec = read_spec(path)
        model = adapted(model_of(spec, path, form), case)
        if case.recompute:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.train()
        self.model = model
        self._trained = [x for x in model.parameters() if x.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._trained, lr=RATE, betas=BETAS, eps=EPS, weight_decay=0.0, fused=True
        )
        ids = case.ids(spec.vocab_size).to(device())
        self._inputs, self._targets = ids[:, :-1].contiguous(), ids[:, 1:].clone()
        self._targets[:, : case.first_learnt - 1] = NOT_LEARNT

    def loss(self) -> torch.Tensor:
        """Of the case's rows, nats for each token that is learnt."""
        return self.model(input_ids=self._inputs, shift_labels=self._targets, use_cache=False).loss

    def step(self) -> float:
        loss = self.loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(loss.detach())


def model_of(spec: ModelSpec, path: str, form: dict[str, bool]) -> Any:
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
        **form,
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
