"""The files that we write are loaded by llama.cpp and give our logits there (make test-long).

llama.cpp computes the same equations with other loops: sums in another order, its own exp and tanh in fp32.
Measured on fp32 files of eight layers: at most 6.5e-6 of the largest logit, so 2e-5 is asked for: that is
the proof. With fp16, bf16 or Q8_0 weights it also rounds what they are multiplied with (to 11, 8 and 7 bits),
which random layers amplify: measured 7e-3, 4e-2 and 5e-2. Those limits only tell a file that is read rightly
from one that is not, whose error is of order 1.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from engine.tokenizer_world import world_tokenizer
from engine.weights.archive import open_archive
from engine.weights.export import convert
from engine.weights.load import load
from engine.weights.turns import WORLD
from tests.engine import tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from engine.types import TokenIds

llama = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make test-long does that")
pytestmark = pytest.mark.long

COUNTS = (1, 2, 17, 64, 200)
LIMITS = {"fp32": 2e-5, "fp16": 2e-2, "bf16": 0.1, "q8_0": 0.15}


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    @llama.llama_log_callback
    def ignore(level: int, text: bytes, data: object) -> None: ...

    llama.llama_log_set(ignore, ctypes.c_void_p(0))
    llama.llama_backend_init()
    globals()["_kept"] = ignore  # C holds it from now on


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    params = llama.llama_model_default_params()
    params.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    assert model, "llama.cpp refused the file"
    yield model
    llama.llama_model_free(model)


def logits(model: Any, tokens: TokenIds, at_once: int) -> Tensor:
    """Of the last token, after feeding `at_once` tokens at a time from an empty state."""
    params = llama.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 256
    params.n_threads = params.n_threads_batch = 1
    context = llama.llama_init_from_model(model, params)
    assert context
    for start in range(0, len(tokens), at_once):
        part = np.array(tokens[start : start + at_once], np.int32)  # the batch only points to it
        pointer = part.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        assert llama.llama_decode(context, llama.llama_batch_get_one(pointer, len(part))) == 0
    rows = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    found = np.ctypeslib.as_array(llama.llama_get_logits_ith(context, -1), (rows,)).copy()
    llama.llama_free(context)
    return torch.from_numpy(found)


def ours(path: Path) -> Any:
    loading = load(path, device="cpu", dtype="fp32")
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("arch", ["rwkv6", "rwkv7"])
def test_llama_cpp_gives_our_logits(arch: str, dtype: str, tmp_path: Path) -> None:
    """Eight layers: RWKV-6's residual stream is halved once. Fed whole, one by one, and seven at a time."""
    spec = tiny.spec(arch=arch, n_layer=8, n_embd=128, head_size=64)
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    list(convert(source, tmp_path / "a.gguf", "gguf", dtype=dtype))
    model = ours(tmp_path / "a.gguf")
    rng = torch.Generator().manual_seed(0)
    with opened(tmp_path / "a.gguf") as theirs:
        for count in COUNTS:
            tokens = tuple(torch.randint(0, spec.vocab_size, (count,), generator=rng).tolist())
            expected, _ = model.forward(torch.tensor([tokens]), model.zero_state(1))
            for at_once in {count, 1, 7}:
                found = logits(theirs, tokens, at_once)
                error = float((found - expected[0]).abs().max() / expected.abs().max())
                assert error <= LIMITS[dtype], (count, at_once, error)


# llama.cpp's name of a quantisation → its type, and the relative error (rms) that it leaves in normal numbers
QUANTISATIONS = {
    "Q4_0": ("Q4_0", 0.09),
    "Q4_1": ("Q4_1", 0.08),
    "Q5_0": ("Q5_0", 0.045),
    "Q5_1": ("Q5_1", 0.04),
    "Q8_0": ("Q8_0", 0.006),
    "Q2_K": ("Q2_K", 0.31),
    "Q3_K_M": ("Q3_K", 0.16),
    "Q4_K_M": ("Q4_K", 0.075),
    "Q5_K_M": ("Q5_K", 0.038),
    "Q6_K": ("Q6_K", 0.019),
    "IQ3_S": ("IQ3_S", 0.18),
    "IQ4_NL": ("IQ4_NL", 0.08),
    "IQ4_XS": ("IQ4_XS", 0.08),
}


def quantised(source: Path, target: Path, name: str) -> Path:
    """By llama.cpp's own quantiser."""
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.nthread = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{name}"), 1
    assert not llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params))
    return target


@pytest.mark.parametrize("arch", ["rwkv6", "rwkv7"])
def test_what_llama_cpp_makes_of_our_file_is_read_again(arch: str, tmp_path: Path) -> None:
    """Every kind of its quantiser that wants no extra data: the values, and the logits that both compute."""
    spec = tiny.spec(arch=arch, n_layer=7, n_embd=256, head_size=64)  # rows of whole blocks
    official = tiny.tensors(spec)
    source = tiny.save(tmp_path / "a.pth", official)
    list(convert(source, tmp_path / "a.gguf", "gguf", dtype="fp32"))
    tokens = tuple(range(1, 40))
    for name, (kind, most) in QUANTISATIONS.items():
        path = quantised(tmp_path / "a.gguf", tmp_path / f"{name}.gguf", name)
        archive, model = open_archive(path), ours(path)
        assert kind in archive.notes["types"]
        for part in ("blocks.6.att.output.weight", "blocks.6.ffn.value.weight", "emb.weight"):
            error = (archive.get(part) - official[part]).norm() / official[part].norm()
            assert most / 3 < error <= most, (name, part, error)
        with opened(path) as theirs:
            found = logits(theirs, tokens, len(tokens))
        expected, _ = model.forward(torch.tensor([tokens]), model.zero_state(1))
        error = float((found - expected[0]).abs().max() / expected.abs().max())
        assert error <= LIMITS["q8_0"], (name, error)


TEXTS = ("User: Hi\n\nAssistant:", "你好,世界 ✿ 🙂", "tab\tquote'\"\\back\r\n", "\x00\x7fé", "12345 67")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    spec = tiny.spec(n_layer=1, vocab_size=65536)
    source = tiny.checkpoint(folder / "a.pth", spec)
    list(convert(source, folder / "a.gguf", "gguf", dtype="fp16"))
    return folder / "a.gguf"


def tokenized(model: Any, text: str, *, special: bool) -> TokenIds:
    data, room = text.encode(), (ctypes.c_int32 * 500)()
    vocabulary = llama.llama_model_get_vocab(model)
    count = llama.llama_tokenize(vocabulary, data, len(data), room, 500, True, special)
    return tuple(room[:count])


def test_llama_cpp_encodes_as_we_do(world: Path) -> None:
    with opened(world) as model:
        for text in TEXTS:
            assert tokenized(model, text, special=False) == world_tokenizer().encode(text)


def test_llama_cpp_knows_where_a_conversation_begins_and_an_answer_ends(world: Path) -> None:
    with opened(world) as model:
        vocabulary = llama.llama_model_get_vocab(model)
        assert llama.llama_vocab_bos(vocabulary) == llama.llama_vocab_eos(vocabulary) == 0
        assert llama.llama_vocab_eot(vocabulary) == 261
        assert llama.llama_vocab_is_eog(vocabulary, 261)
        assert tokenized(model, "<s>User:", special=True) == (0, *world_tokenizer().encode("User:"))


def test_llama_cpp_spells_a_conversation_as_we_do(world: Path) -> None:
    """Its own template, which the file's names."""
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Bye")]
    messages = (llama.llama_chat_message * len(said))()
    for message, (role, text) in zip(messages, said, strict=True):
        message.role, message.content = role.encode(), text.encode()
    with opened(world) as model:
        template, room = llama.llama_model_chat_template(model, None), ctypes.create_string_buffer(1000)
        count = llama.llama_chat_apply_template(template, messages, len(said), True, room, len(room))
    expected = WORLD.system.format(text="Be brief.") + WORLD.joiner
    expected += WORLD.user.format(text="Hi") + WORLD.assistant.format(text="Hello.") + WORLD.joiner
    assert room.raw[:count].decode() == expected + WORLD.user.format(text="Bye")
