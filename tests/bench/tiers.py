"""How far every tier's logits are from fp32's, and how large it is.

    python -m tests.bench.tiers [tokens] [width] [layers]

Two models: a random one of a released one's widths (768 12: 0.1B), whose hidden units are zero as often as a
trained model's (`decode_rows`), along random tokens; and the built-in one, along what it writes in fp32. For
each tier: distance by norms at the median position, KL divergence in nats, share of equal first choices, its
bytes of weights, and what they would be for released sizes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from engine.models.tiers import RUN_DTYPES
from engine.tokenizer import load_tokenizer
from engine.types import TokenizerRef
from engine.weights.fit import Size, weight_bytes
from rwkv_chat.paths import resource
from tests.bench.decode_int8 import loaded
from tests.bench.decode_rows import sparse_tensors
from tests.engine import tiny
from tests.engine.test_int8 import QUESTIONS, compared, continued, logits

TIERS = [tier for tier in RUN_DTYPES if tier != "fp32"]
RELEASED = {
    "1.5B": Size("rwkv7", 1_527_404_544, 24, 2048, 8192),
    "2.9B": Size("rwkv7", 2_947_735_040, 32, 2560, 10240),
    "7.2B": Size("rwkv7", 7_199_145_984, 32, 4096, 16384),
}


def show(name: str, path: Path, chains: list[torch.Tensor], truth: torch.Tensor) -> None:
    print(f"{name}, {len(truth)} positions")
    for tier in TIERS:
        model = loaded(path, tier)
        found = torch.cat([logits(model, each) for each in chains])
        distance, divergence, same = compared(found, truth)
        mb = model.nbytes / 1e6
        print(f"  {tier:14} {distance:.4f}, KL {divergence:.1e}, same first choice {same:.3f}; {mb:.1f} MB")


def random_model(folder: Path, tokens: int, width: int, layers: int) -> None:
    path = tiny.save(
        folder / "random.safetensors", sparse_tensors(width, layers, vocabulary=65_536), torch.bfloat16
    )
    exact = loaded(path, "fp32")
    chains = [tiny.ids(exact.spec, tokens)]
    show(f"random, L{layers} C{width}", path, chains, logits(exact, chains[0]))


def built_in() -> None:
    path = resource("assets/demo/demo.safetensors")
    tokenizer = load_tokenizer(TokenizerRef("json", str(resource("assets/demo/tokenizer.json"))))
    exact = loaded(path, "fp32")
    asked = [(0, *tokenizer.encode(f"User: {each}\n\nAssistant:")) for each in QUESTIONS]
    chains = [continued(exact, prompt, 60) for prompt in asked]
    show("built-in", path, chains, torch.cat([logits(exact, each) for each in chains]))


def main() -> None:
    words = [int(word) for word in sys.argv[1:4]]
    tokens, width, layers = (*words, *(256, 768, 12)[len(words) :])
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        built_in()
        random_model(Path(name), tokens, width, layers)
    for tier in RUN_DTYPES:
        sizes = (f"{name} {weight_bytes(size, tier) / 1e9:.2f} GB" for name, size in RELEASED.items())
        print(f"{tier:14}", ", ".join(sizes))


if __name__ == "__main__":
    main()
