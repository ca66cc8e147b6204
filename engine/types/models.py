"""What a model is, how it is loaded, and what was loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What the weight shapes say about a model; never typed in by hand.

    Attributes:
        arch: the architecture's name, a key of `engine.models.ARCHITECTURES`: "rwkv4", "rwkv5.0", "rwkv5.1",
            "rwkv5.2", "rwkv6" or "rwkv7".
        n_layer, n_embd, head_size, n_ffn, vocab_size: L, C, N, F, O. RWKV-4 has a head for each
            channel: N = 1.
        ranks: low-rank sizes by the official letter, as sorted pairs (("a", 64), ("g", 128), …); RWKV-6's
            are "d" (decay) and "m" (mixtures).
        log_bonus: an RWKV-5 whose files keep the bonus as its logarithm, `time_first`.
    """

    arch: str
    n_layer: int
    n_embd: int
    head_size: int
    n_ffn: int
    vocab_size: int
    ranks: tuple[tuple[str, int], ...] = ()
    log_bonus: bool = False

    @property
    def n_head(self) -> int:
        return self.n_embd // self.head_size

    def rank(self, letter: str) -> int:
        return dict(self.ranks)[letter]


@dataclass(frozen=True, slots=True)
class TokenizerRef:
    """Which tokenizer: the World vocabulary, or a Hugging Face `tokenizer.json` at `path`."""

    kind: Literal["world", "json"] = "world"
    path: str | None = None


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """A weights file to load.

    Attributes:
        path: an official `.pth` or a `.safetensors` with official names.
        device: "auto", "cpu", "cuda" or "cuda:1".
        dtype: "auto", "fp32", "bf16", "fp16", "int8" or "int4" (weights; what is computed is bf16, or fp16 on
            cards without bf16; `engine.weights.choice` says where). The wkv state is fp32 always.
    """

    path: str
    tokenizer: TokenizerRef = TokenizerRef()
    device: str = "auto"
    dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A loaded model.

    Attributes:
        id: SHA-256 of the weights, hex; "" until `Engine.identify` has told it.
        tier: numeric tier, e.g. "fp32", "int8"; part of every state's key.
        nbytes: bytes of weights in memory.
        state_nbytes: bytes of one sequence's state.
        adapter: id of the adapter that is in the weights, "" for none; part of every state's key.
    """

    id: str
    path: str
    spec: ModelSpec
    tier: str
    device: str
    tokenizer: TokenizerRef
    nbytes: int
    state_nbytes: int
    adapter: str = ""
