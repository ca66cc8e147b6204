"""The World vocabulary and tokenizer.json files: golden encodings, twins, exact bytes, hostile files."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from engine.errors import TokenizerInvalid
from engine.tokenizer import Tokenizer, load_tokenizer
from engine.tokenizer_world import (
    ENTRIES,
    PACKAGES,
    Matcher,
    WorldTokenizer,
    parse_vocabulary,
    read_vocabulary,
    vocabulary_path,
)
from engine.types import TokenizerRef

GOLDEN = {
    "User: hi\n\nAssistant:": (24281, 59, 4571, 261, 5585, 41693, 59),
    "\n\nUser:": (261, 24281, 59),
    "Assistant: <think": (5585, 41693, 59, 295, 35762),
    "<think>": (61, 35762, 63),
    "</think>": (754, 35762, 63),
    "<think>\n</think": (61, 35762, 63, 11, 754, 35762),
    "<think></think": (61, 35762, 5439, 35762),
    "Hello world": (33155, 40213),
    "你好": (10464, 11685),
    " 42": (3515,),
    "\r\n": (263,),
    "Today is a beautiful day. 今天是美好的一天。": (
        *(33520, 4600, 332, 59219, 21509, 47, 33, 10381),
        *(11639, 13091, 15597, 11685, 14734, 10250, 11639, 10080),
    ),
    "\nThe Eiffel Tower is located in the city of": (
        *(11, 6699, 304, 25740, 109, 37480, 4600, 52151, 4596, 22590, 30449, 4706),
    ),
    "": (),
}


def world() -> Tokenizer:
    return load_tokenizer(TokenizerRef())


@cache
def plain_world() -> WorldTokenizer:
    """The same vocabulary without the Rust encoder."""
    return WorldTokenizer(read_vocabulary(vocabulary_path()), plain=True)


@pytest.mark.parametrize("text", GOLDEN)
def test_golden_encodings(text: str) -> None:
    assert world().encode(text) == plain_world().encode(text) == GOLDEN[text]
    assert world().decode_bytes(GOLDEN[text]) == text.encode()


def test_ids_beyond_the_vocabulary_are_not_sampleable_and_have_no_bytes() -> None:
    tokenizer = world()
    assert tokenizer.sampleable == tokenizer.vocab_size == ENTRIES + 1
    assert [tokenizer.token_bytes(token) for token in (-1, 0, 65530, 65535)] == [b""] * 4
    assert tokenizer.token_bytes(65529)


SCRIPTS = ((0x20, 0x7F), (0xA0, 0x24F), (0x370, 0x52F), (0x5D0, 0x6FF), (0x900, 0x97F), (0x3040, 0x30FF))
SCRIPTS += ((0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF), (0x2000, 0x206F), (0x0, 0x20))


def fuzz_strings(count: int, seed: int) -> list[str]:
    """Mixed scripts, random bytes decoded, whitespace, digits, emoji sequences, vocabulary neighbours."""
    rng = random.Random(seed)
    entries = read_vocabulary(vocabulary_path())
    makers = (
        lambda: "".join(chr(rng.randint(*rng.choice(SCRIPTS))) for _ in range(rng.randint(0, 40))),
        lambda: rng.randbytes(rng.randint(0, 40)).decode(errors="replace"),
        lambda: "".join(rng.choice(" \t\n\r\x0b\x0c\u3000\xa0") for _ in range(rng.randint(0, 60))),
        lambda: str(rng.getrandbits(rng.randint(1, 200))),
        lambda: "\u200d".join(chr(rng.randint(0x1F300, 0x1FAFF)) for _ in range(rng.randint(1, 6))),
        lambda: b"".join(rng.choices(entries, k=rng.randint(1, 12))).decode(errors="replace"),
        lambda: rng.choice(entries)[:-1].decode(errors="ignore") * rng.randint(1, 4),
    )
    return [rng.choice(makers)() for _ in range(count)]


def test_twins_agree_on_20_000_fuzz_strings() -> None:
    pytest.importorskip("pyrwkv_tokenizer", reason="no Rust encoder for this Python")
    fast, plain = world(), plain_world()
    for text in fuzz_strings(20_000, seed=7):
        ids = plain.encode(text)
        assert fast.encode(text) == ids
        assert fast.decode_bytes(ids) == text.encode()


def test_every_byte_string_is_encodable() -> None:
    rng = random.Random(3)
    for data in (rng.randbytes(rng.randint(0, 60)) for _ in range(500)):
        assert world().decode_bytes(world().encode_bytes(data)) == data


def test_lone_surrogates_become_replacement_characters() -> None:
    assert world().encode("a\udcffb") == world().encode("a\ufffdb")


def test_long_text_without_breaks_takes_no_more_than_linear_time() -> None:
    """80 kB of base64 hang some tokenizers."""
    text = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo" * 2400
    assert plain_world().decode_bytes(plain_world().encode(text)) == text.encode()


def test_crlf_and_lf_files_read_the_same() -> None:
    lines = ["1 '\\x00' 1", '2 "\'" 1', "3 b'\\xe4\\xbd' 2", "4 '你' 3", "5 '\\n' 1", "6 '\x0b\x85' 3"]
    expected = [b"", b"\0", b"'", b"\xe4\xbd", "你".encode(), b"\n", b"\x0b\xc2\x85"]
    assert parse_vocabulary("\n".join(lines) + "\n", "f") == expected
    assert parse_vocabulary("\r\n".join(lines) + "\r\n", "f") == expected


def test_both_packages_hold_the_same_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for package in PACKAGES:
        monkeypatch.setattr("engine.tokenizer_world.PACKAGES", (package,))
        if importlib.util.find_spec(package):
            found.append(read_vocabulary(vocabulary_path()))
    assert all(entries == found[0] for entries in found)
    monkeypatch.setattr("engine.tokenizer_world.PACKAGES", ())
    with pytest.raises(TokenizerInvalid, match="not installed"):
        vocabulary_path()


def test_without_the_rust_package_the_plain_twin_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrwkv_tokenizer", None)
    tokenizer = WorldTokenizer(read_vocabulary(vocabulary_path()))
    assert tokenizer.encode("Hello world") == GOLDEN["Hello world"]


def test_literals_without_backslash_read_as_python_reads_them() -> None:
    """The short cut of the parser against `parse_vocabulary`'s own slow way, on the whole file."""
    import ast

    for line in vocabulary_path().read_text(encoding="utf-8").split("\n")[:65529:7]:
        token, literal = line.split(" ", 1)[0], line.split(" ", 1)[1].rsplit(" ", 1)[0]
        value = ast.literal_eval(literal)
        assert world().token_bytes(int(token)) == (value.encode() if isinstance(value, str) else value)


@pytest.mark.parametrize(
    "line",
    [
        "1 'a' 2",
        "2 'a' 1",
        "1 'a",
        "1 a 1",
        "x 'a' 1",
        "1 __import__('os') 1",
        "1 '' 0",
        "1 'a'+'b' 2",
        "1 12 2",
    ],
)
def test_a_damaged_vocabulary_is_refused(line: str) -> None:
    with pytest.raises(TokenizerInvalid) as caught:
        parse_vocabulary(line, "vocab.txt")
    assert caught.value.path == "vocab.txt"


def test_matcher_takes_the_longest() -> None:
    entries = [b"", *(bytes((byte,)) for byte in range(256)), b"ab", b"abcd", b"bc"]
    assert list(Matcher(entries).match(b"abcabcdab")) == [257, 100, 258, 257]


def test_the_vocabulary_is_found_without_importing_torch() -> None:
    code = "import sys; from engine.tokenizer_world import world_tokenizer as w; w().encode('a'); "
    code += "sys.exit('torch' in sys.modules or 'rwkv' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --------------------------------------------------------------------------------------------- tokenizer.json


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small byte-level BPE with a special token at 0, an ordinary added token, and a hole in its ids."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(["the cat sat on the mat, 你好 你好 the end"] * 4, trainer)
    library.add_tokens([AddedToken("<think>", special=False)])
    path = tmp_path_factory.mktemp("json") / "tokenizer.json"
    library.save(str(path))
    return str(path)


def load_json(path: str) -> Tokenizer:
    return load_tokenizer(TokenizerRef("json", path))


def test_byte_level_round_trip(byte_level: str) -> None:
    tokenizer = load_json(byte_level)
    for text in ["the cat", " 你好\n\nπ 😀", *fuzz_strings(500, seed=5)]:
        assert tokenizer.decode_bytes(tokenizer.encode(text)) == text.encode()


def test_byte_level_tokens_may_end_inside_a_character(byte_level: str) -> None:
    tokenizer = load_json(byte_level)
    data = "😀".encode()
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data[:3])) == data[:3]
    assert [tokenizer.token_bytes(token) for token in tokenizer.encode_bytes(data[2:3])] == [data[2:3]]


def test_special_tokens_cannot_be_typed_and_have_no_bytes(byte_level: str) -> None:
    tokenizer = load_json(byte_level)
    assert 0 not in tokenizer.encode("<|end|>")
    assert tokenizer.token_bytes(0) == b""
    assert tokenizer.decode_bytes(tokenizer.encode("a<think>b")) == b"a<think>b"


def test_unknown_ids_have_no_bytes(byte_level: str) -> None:
    tokenizer = load_json(byte_level)
    assert tokenizer.decode_bytes((10**6, -1, tokenizer.sampleable)) == b""


def test_metaspace_with_byte_fallback(tmp_path_factory: pytest.TempPathFactory) -> None:
    vocabulary = {"<0x0A>": 0, "▁a": 1, "b": 2, "<s>": 5}
    parsed = {
        "version": "1.0",
        "added_tokens": [],
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
    }
    path = tmp_path_factory.mktemp("meta") / "tokenizer.json"
    path.write_text(json.dumps(parsed))
    tokenizer = load_json(str(path))
    assert tokenizer.decode_bytes((1, 2, 0)) == b" ab\n"
    assert tokenizer.holes == (3, 4)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff\xfe", b'{"model": {"type": "Evil"}}', b"[" * 100_000, b'{"version": "1.0"'],
)
def test_broken_files_are_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bad") / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(TokenizerInvalid):
        load_json(str(path))


def test_a_giant_file_is_refused_unread(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("big") / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TokenizerInvalid, match="too large"):
        load_json(str(path))


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(TokenizerInvalid):
        load_json("/nonexistent/tokenizer.json")


@pytest.mark.parametrize("kind", ["folder", "pipe", "NUL"])
def test_what_is_no_file_is_refused_unread(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("odd") / "tokenizer.json"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("pipes with names are a Unix thing")
        os.mkfifo(path)
    with pytest.raises(TokenizerInvalid):
        load_json(str(path) + ("\0" if kind == "NUL" else ""))


def test_rules_that_the_library_fails_at_are_an_error_and_no_panic(byte_level: str) -> None:
    """The `tokenizers` library panics at this normaliser; a panic is no `Exception`."""
    path = Path(byte_level).with_name("panic.json")
    parsed = json.loads(Path(byte_level).read_text())
    parsed["normalizer"] = {"type": "Replace", "pattern": {"Regex": ""}, "content": "x" * 10}
    path.write_text(json.dumps(parsed))
    with pytest.raises(TokenizerInvalid, match="fails"):
        load_json(str(path)).encode("hi there")


def test_rules_that_make_long_texts_of_short_ones_are_refused(
    byte_level: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Four of them would make a terabyte of one letter."""
    content = json.loads(Path(byte_level).read_text("utf-8"))
    longer = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
    content["normalizer"] = {"type": "Sequence", "normalizers": [longer] * 4}
    path = tmp_path_factory.mktemp("bomb") / "tokenizer.json"
    path.write_text(json.dumps(content))
    with pytest.raises(TokenizerInvalid, match="too long"):
        load_json(str(path))


def test_ids_out_of_range_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("ids") / "tokenizer.json"
    model = {"type": "BPE", "vocab": {"a": 4_000_000_000}, "merges": []}
    path.write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    with pytest.raises(TokenizerInvalid, match="out of range"):
        load_json(str(path))
