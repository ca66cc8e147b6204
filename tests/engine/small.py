"""What engine tests share: a small random model with a byte-level tokenizer, and an engine on it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.service import Engine
from engine.types import (
    Finished,
    GenerateRequest,
    Loaded,
    LoadRequest,
    ModelInfo,
    Piece,
    SamplingParams,
    StopRule,
    TokenizerRef,
)
from tests.engine import tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.job import Job
    from engine.types import Event, TokenIds

WORDS = ("the", " cat", " sat", "\n\n", "User", "\n\nUser", "你", " and", "ing", "so\n\nUs", "er:")
NO_STOP = StopRule(ids=())
PROMPT: TokenIds = (0, 73, 106, 11)
ENDLESS = SamplingParams(temperature=0, max_tokens=1_000_000)


def byte_alphabet() -> dict[int, str]:
    """byte → letter of the byte-level alphabet."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(rest)}


def write_tokenizer(path: Path) -> TokenizerRef:
    """id 0 special, 1…256 the single bytes, then a few words that only a model can choose."""
    letters = byte_alphabet()
    vocab = {"<|end|>": 0} | {letters[byte]: byte + 1 for byte in range(256)}
    for word in WORDS:
        vocab["".join(letters[byte] for byte in word.encode())] = len(vocab)
    special = {"id": 0, "content": "<|end|>", "single_word": False, "lstrip": False, "rstrip": False}
    parsed = {
        "version": "1.0",
        "added_tokens": [{**special, "normalized": False, "special": True}],
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    }
    path.write_text(json.dumps(parsed))
    return TokenizerRef("json", str(path))


VOCABULARY = 1 + 256 + len(WORDS)


def write_model(folder: Path, seed: int = 0, n_layer: int = 2, arch: str = "rwkv7") -> LoadRequest:
    """A random checkpoint and its tokenizer in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    of = tiny.spec(n_layer=n_layer, vocab_size=VOCABULARY, arch=arch)
    path = tiny.checkpoint(folder / f"tiny{seed}.safetensors", of, seed=seed)
    return LoadRequest(str(path), write_tokenizer(folder / "tokenizer.json"), "cpu", "fp32")


@dataclass(frozen=True)
class Outcome:
    """The events of one job, sorted out."""

    events: list[Event]

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def finished(self) -> Finished:
        (only,) = self.of(Finished)
        return only

    @property
    def pieces(self) -> str:
        return "".join(piece.text for piece in self.of(Piece))


def outcome(job: Job) -> Outcome:
    return Outcome(list(job))


@contextmanager
def engine_on(
    folder: Path,
    request: LoadRequest,
    worker: Literal["thread", "process"] = "thread",
    budget_bytes: int | None = None,
) -> Iterator[Engine]:
    """An engine with the model loaded, closed at the end; saved states are in folder/states."""
    engine = Engine(
        folder / "states", cache=folder / "cache", budget_bytes=budget_bytes, worker=worker, threads=1
    )
    try:
        load(engine, request)
        yield engine
    finally:
        engine.close()


def load(engine: Engine, request: LoadRequest) -> ModelInfo:
    """Loads a model whose id is known, so that its states are saved at once."""
    engine.identify(request.path).result()
    last = engine.load(request).result()
    assert isinstance(last, Loaded)
    return last.info


def ask(engine: Engine, request: GenerateRequest) -> Outcome:
    return outcome(engine.submit(request))


def request(
    prompt: TokenIds = PROMPT, history: TokenIds = (), max_tokens: int = 12, **more: Any
) -> GenerateRequest:
    """A greedy reply of `max_tokens` tokens, unless `more` says otherwise."""
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    return GenerateRequest(prompt, history=history, **{"params": params, "stop": NO_STOP, **more})
