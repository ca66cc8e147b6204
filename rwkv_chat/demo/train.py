"""Trains the built-in model: `python -m rwkv_chat.demo.train` (an hour and a half on two idle CPU cores).

--out FOLDER      where demo.safetensors and tokenizer.json go (default: assets/demo)
--run FOLDER      checkpoints and events; a run found there goes on (default: build/demo)
--steps N         optimiser steps
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from engine.models.names import expected_shapes
from engine.models.rwkv7 import Rwkv7
from engine.tokenizer import load_tokenizer
from engine.tune.batches import from_source
from engine.tune.folder import Folder
from engine.tune.init import initial_tensors, suggested_ranks
from engine.tune.log import Log
from engine.tune.loop import Trainer
from engine.tune.subject import Subject
from engine.types import Evaluated, ModelSpec, Step, TokenizerRef, TuneConfig
from engine.weights.export import export_safetensors
from rwkv_chat.demo import card, vocabulary
from rwkv_chat.demo.corpus.dialogues import dialogue
from rwkv_chat.demo.render import row, rows

if TYPE_CHECKING:
    from torch import Tensor

    from engine.tokenizer import Tokenizer
    from engine.types import Row

SEED = 7
VALIDATION_SEED = 7007
WINDOW = 256
TOKENIZER = "tokenizer.json"
WEIGHTS = "demo.safetensors"

SPEC = ModelSpec(
    arch="rwkv7", n_layer=6, n_embd=192, head_size=64, n_ffn=768, vocab_size=vocabulary.SIZE,
    ranks=suggested_ranks(192),
)  # fmt: skip
CONFIG = TuneConfig(
    "", "full", steps=10_000, batch_size=8, micro_batch=8, context=448, learning_rate=1.2e-3, final_rate=2e-5,
    warmup=100, evaluate_every=500, checkpoint_every=100, recompute=False,
)  # fmt: skip


def _validation(tokenizer: Tokenizer, n: int = 64) -> tuple[Row, ...]:
    return tuple(row(dialogue(VALIDATION_SEED, i), tokenizer) for i in range(n))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the built-in model.")
    parser.add_argument("--out", type=Path, default=Path("assets/demo"))
    parser.add_argument("--run", type=Path, default=Path("build/demo"))
    parser.add_argument("--steps", type=int, default=CONFIG.steps)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--batch", type=int, default=CONFIG.batch_size)
    parser.add_argument("--rate", type=float, default=CONFIG.learning_rate)
    parser.add_argument("--width", type=int, default=SPEC.n_embd)
    parser.add_argument("--layers", type=int, default=SPEC.n_layer)
    parser.add_argument("--start", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves the choice to torch")
    return parser.parse_args()


def _tokenizer(arguments: argparse.Namespace) -> Tokenizer:
    """The run's tokenizer; a new run makes its own, or takes the one it starts with."""
    path = arguments.run / TOKENIZER
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if arguments.start:
            shutil.copyfile(arguments.start / TOKENIZER, path)
        else:
            vocabulary.save(path, arguments.seed)
    return load_tokenizer(TokenizerRef("json", str(path)))


def _tensors(arguments: argparse.Namespace, spec: ModelSpec) -> dict[str, Tensor]:
    """The weights to begin with, fp32, vectors as [C]."""
    if not arguments.start:
        return initial_tensors(spec, arguments.seed)
    stored = load_file(arguments.start / WEIGHTS)
    shapes = expected_shapes(spec)
    return {name: stored[name].float().reshape(shape) for name, shape in shapes.items()}


def _export(arguments: argparse.Namespace, training: Trainer) -> None:
    """Weights, tokenizer and the list of facts, all of this run."""
    export_safetensors(arguments.out / WEIGHTS, dict(training.subject.trained))
    shutil.copyfile(arguments.run / TOKENIZER, arguments.out / TOKENIZER)
    card.write(arguments.out / "model.toml")


def _spec(width: int, layers: int) -> ModelSpec:
    return ModelSpec("rwkv7", layers, width, 64, 4 * width, vocabulary.SIZE, suggested_ranks(width))


def trainer(arguments: argparse.Namespace) -> Trainer:
    """A trainer for the command's arguments, at the run's last checkpoint if it has one."""
    tokenizer = _tokenizer(arguments)
    config = replace(CONFIG, steps=arguments.steps, batch_size=arguments.batch, learning_rate=arguments.rate)
    spec = _spec(arguments.width, arguments.layers)
    model = Rwkv7(spec, _tensors(arguments, spec), dtype=torch.bfloat16)
    source = rows(arguments.seed, tokenizer, window=WINDOW, size=config.batch_size)
    return Trainer(
        Subject(model, config, {}),
        from_source(source, config.batch_size),
        validation=_validation(tokenizer),
        folder=Folder(arguments.run).checkpoints,
    )


def main() -> None:
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    training, told = trainer(arguments), Log(Folder(arguments.run))
    tokens, loss, start, n = 0.0, 0.0, time.monotonic(), 0
    for event in training.run():
        told(event)
        if isinstance(event, Step):
            n, loss = n + 1, loss + event.loss
            tokens += event.tokens_per_second
            if event.step % 50 == 0:
                minutes = (time.monotonic() - start) / 60
                _say(f"{minutes:6.1f} min  step {event.step}/{event.steps}  loss {loss / n:.4f}  "
                     f"rate {event.learning_rate:.1e}  {tokens / n:.0f} tokens/s")  # fmt: skip
                tokens, loss, n = 0.0, 0.0, 0
        elif isinstance(event, Evaluated) and event.step:
            _export(arguments, training)
            _say(f"validation {event.loss:.4f}; written to {arguments.out}")
    _export(arguments, training)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
