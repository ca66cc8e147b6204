"""The header of a GGUF file to be written: dimensions, tokenizer and the table of tensors, as llama.cpp
wants them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from engine.tokenizer_world import ENTRIES, world_tokenizer
from engine.weights.gguf_cursor import ARRAY, STRING
from engine.weights.gguf_tokens import MODEL, MODEL_KEY, NO_MODEL, TOKENS_KEY, TYPES_KEY, world_tokens
from engine.weights.turns import chat_template

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.types import ModelSpec, TokenIds
    from engine.weights.outgoing import Outgoing
    from engine.weights.turns import Turns

VERSION = 3
ALIGNMENT = 32
HALVED_EVERY = 6  # RWKV-6: after so many layers the residual stream is halved, and the weights fit that
CONTEXT = 1 << 20  # no limit, in llama.cpp's way
LN_EPS = 1e-5
_UINT32, _INT32, _FLOAT32 = 4, 5, 6

# what a file mostly holds → llama.cpp's number for it
FILE_TYPES = {"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}
# a tensor's type → the format's number for it
TYPES = {"F32": 0, "F16": 1, "Q8_0": 8, "BF16": 30}

Tensor = tuple[str, tuple[int, ...], str, int]


def header(model: Outgoing, wanted: str, tensors: list[Tensor]) -> bytes:
    """Everything before the tensors' data, padded.

    Args:
        wanted: what the file mostly holds, a key of `FILE_TYPES`.
        tensors: name, shape (slowest axis first), type and bytes of each, in the order of their data.
    """
    pairs = [*_general(model, wanted), *_model(model.spec), *_tokenizer(model.spec.vocab_size, model.turns)]
    start = b"GGUF" + struct.pack("<IQQ", VERSION, len(tensors), len(pairs))
    whole = start + b"".join(pairs) + b"".join(_table(tensors))
    return whole + bytes(-len(whole) % ALIGNMENT)


def _general(model: Outgoing, wanted: str) -> list[bytes]:
    return [
        _text("general.architecture", model.spec.arch),
        _text("general.type", "model"),
        _text("general.name", model.notes.get("name") or model.path.stem),
        _number("general.file_type", FILE_TYPES[wanted]),
        _number("general.quantization_version", 2),
    ]


def _model(spec: ModelSpec) -> list[bytes]:
    """The dimensions, in the converter's own names and order."""
    numbers = {
        "context_length": CONTEXT,
        "vocab_size": spec.vocab_size,
        "embedding_length": spec.n_embd,
        "block_count": spec.n_layer,
        "feed_forward_length": spec.n_ffn,
        "attention.head_count": 0,  # wanted, and not used
        "wkv.head_size": spec.head_size,
        **_RANKS[spec.arch](spec),
    }
    pairs = [_number(f"{spec.arch}.{key}", value) for key, value in numbers.items()]
    return [*pairs, _pair(f"{spec.arch}.attention.layer_norm_epsilon", _FLOAT32, struct.pack("<f", LN_EPS))]


def _rwkv6(spec: ModelSpec) -> dict[str, int]:
    return {
        "rescale_every_n_layers": HALVED_EVERY,
        "time_mix_extra_dim": spec.rank("m"),
        "time_decay_extra_dim": spec.rank("d"),
    }


def _rwkv7(spec: ModelSpec) -> dict[str, int]:
    names = {"w": "decay", "a": "iclr", "v": "value_residual_mix", "g": "gate"}
    return {f"attention.{name}_lora_rank": spec.rank(letter) for letter, name in names.items()}


_RANKS = {"rwkv6": _rwkv6, "rwkv7": _rwkv7}


def _tokenizer(rows: int, turns: Turns) -> list[bytes]:
    """The World vocabulary; a model with fewer rows has another one, which llama.cpp cannot take from us."""
    if rows <= ENTRIES:
        return [_text(MODEL_KEY, NO_MODEL[-1])]
    texts, kinds = zip(*world_tokens(rows), strict=True)
    return [
        _text(MODEL_KEY, MODEL),
        _array(TOKENS_KEY, STRING, rows, (_string(text) for text in texts)),
        _array(TYPES_KEY, _INT32, rows, (struct.pack("<i", kind) for kind in kinds)),
        _number("tokenizer.ggml.bos_token_id", 0),
        _number("tokenizer.ggml.eos_token_id", 0),
        *(_number("tokenizer.ggml.eot_token_id", token) for token in _end_of_turn(turns)),
        _text("tokenizer.chat_template", chat_template(turns)),
    ]


def _end_of_turn(turns: Turns) -> TokenIds:
    """The token that begins what stands between two turns ("\n\n": 261): an answer ends before it."""
    return world_tokenizer().encode(turns.joiner)[:1]


def _table(tensors: list[Tensor]) -> Iterable[bytes]:
    at = 0
    for name, shape, kind, nbytes in tensors:
        yield _string(name.encode()) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        yield struct.pack("<IQ", TYPES[kind], at)
        at += nbytes + -nbytes % ALIGNMENT


# ------------------------------------------------------------------------------------------------ bytes


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return _string(key.encode()) + struct.pack("<I", kind) + value


def _text(key: str, value: str) -> bytes:
    return _pair(key, STRING, _string(value.encode(errors="replace")))


def _number(key: str, value: int) -> bytes:
    return _pair(key, _UINT32, struct.pack("<I", value))


def _array(key: str, kind: int, length: int, elements: Iterable[bytes]) -> bytes:
    return _pair(key, ARRAY, struct.pack("<IQ", kind, length) + b"".join(elements))
