"""Makes the built-in model's tokenizer: a byte-level BPE over the corpus, as a Hugging Face tokenizer.json.

Blank lines are split off first and digits stand alone, so that a turn's tokens do not depend on its
neighbours: turn by turn and whole-prompt encoding agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from rwkv_chat.demo.corpus.dialogues import dialogue
from rwkv_chat.demo.render import whole_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 2048
END_NAME = "<|endoftext|>"


def _texts(seed: int, n: int) -> Iterator[str]:
    return (whole_text(dialogue(seed, i)) for i in range(n))


def build(seed: int, *, dialogues: int = 6000, size: int = SIZE) -> Tokenizer:
    """A tokenizer of `size` ids: 0 ends a document, all 256 bytes are covered."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("\n\n"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END_NAME],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(seed, dialogues), trainer)
    return tokenizer


def save(path: Path, seed: int) -> None:
    """Builds and writes the tokenizer."""
    path.write_text(build(seed).to_str(pretty=False), encoding="utf-8")
