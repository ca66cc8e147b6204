"""GGUF: what llama.cpp's converter makes is read as the official model; what we write is what it makes."""

from __future__ import annotations

import contextlib
import json
import random
import re
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest
import torch
from gguf.constants import GGML_QUANT_SIZES
from gguf.constants import GGMLQuantizationType as Type
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from engine.errors import EngineError, InvalidRequest, UnsupportedFormat, WeightsCorrupt
from engine.models.names import expected_shapes
from engine.models.rwkv7_names import UNUSED
from engine.tokenizer_world import ENTRIES, world_tokenizer
from engine.types import SamplingParams
from engine.weights import gguf_types
from engine.weights.archive import open_archive
from engine.weights.export import convert
from engine.weights.gguf_header import read_header
from engine.weights.gguf_modelfile import modelfile, template, write_modelfile
from engine.weights.gguf_tokens import escaped, unescaped, world_tokens
from engine.weights.gguf_types import dequantised
from engine.weights.load import read_spec
from engine.weights.turns import WORLD, Turns, chat_template
from tests.engine import gguf_file, tiny

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import ModelSpec
    from tests.conftest import Sample

ARCHS = ("rwkv6", "rwkv7")
BOT = Turns("User✿{text}✿\nBot✿", "{text}", "System✿{text}", "✿\n", "", ("✿",))
# the types that the package dequantises, each with its rows of whole blocks
DEQUANTISED = tuple(kind for kind in Type if gguf_types._block(int(kind)))
# and those that it also quantises
QUANTISED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4")


def wide_spec(arch: str) -> ModelSpec:
    """Rows of whole blocks in every type; enough layers for RWKV-6's halving."""
    return tiny.spec(arch=arch, n_layer=7, n_embd=256, head_size=64, vocab_size=40)


def written(source: Path, target: Path, dtype: str = "stored", **more) -> Path:
    list(convert(source, target, "gguf", dtype=dtype, **more))
    return target


def assert_official(path: Path, spec: ModelSpec, dtype: torch.dtype = torch.float32) -> None:
    """The model of `tiny.tensors(spec)`, to the bit; block 0's value residual is left out."""
    archive, official = open_archive(path), tiny.tensors(spec)
    assert read_spec(path) == spec
    assert archive.shapes.keys() == official.keys() - UNUSED
    for name, shape in archive.shapes.items():
        found = archive.get(name)
        assert tuple(found.shape) == shape == tuple(official[name].shape), name
        expected = official[name] if found.dtype == torch.float32 else official[name].to(dtype)
        assert torch.equal(found.float(), expected.to(dtype).float()), name


# ------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize("kind", [Type.F32, Type.F16, Type.BF16])
@pytest.mark.parametrize("arch", ARCHS)
def test_the_converters_file_is_the_official_model(arch: str, kind: Type, tmp_path: Path) -> None:
    spec = tiny.spec(arch=arch, n_layer=7)
    path = gguf_file.write(tmp_path / "a.gguf", spec, tiny.tensors(spec), kind)
    archive, dtype = open_archive(path), getattr(torch, gguf_types.PLAIN[kind.name])
    assert read_spec(path) == spec
    for name, x in tiny.plain_tensors(spec).items():
        found = archive.get(name).reshape(x.shape)
        halved = "rwkv6" in arch and name.startswith("blocks.6.") and "output" in name + "output"
        expected = x if found.dtype == torch.float32 else x.to(dtype)
        if found.dtype == torch.float16 and halved:  # half of the smallest numbers is between two of fp16's
            assert torch.allclose(found.float(), expected.float(), rtol=0, atol=2.0**-24), name
        else:
            assert torch.equal(found, expected), name


@pytest.mark.parametrize("kind", QUANTISED)
@pytest.mark.parametrize("arch", ARCHS)
def test_quantised_files_are_read_within_what_their_type_loses(arch: str, kind: str, tmp_path: Path) -> None:
    """Compared with the package's own reading of the package's own quantisation, which is exact."""
    spec, type_ = wide_spec(arch), Type[kind]
    official = tiny.tensors(spec)
    path = gguf_file.write(tmp_path / "a.gguf", spec, official, type_)
    archive = open_archive(path)
    assert kind in archive.notes["types"]
    assert archive.nbytes < sum(x.nbytes for x in official.values())
    for name in (
        "emb.weight",
        "blocks.1.att.output.weight",
        "blocks.6.ffn.value.weight",
        "blocks.2.ffn.key.weight",
    ):
        rows = gguf.quants.quantize(official[name].numpy(), type_)  # halving changes scales alone
        assert torch.equal(archive.get(name), torch.from_numpy(gguf.quants.dequantize(rows, type_))), name


@pytest.mark.parametrize("kind", DEQUANTISED, ids=lambda kind: kind.name)
def test_every_type_is_dequantised_as_the_package_does(kind: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """On random bytes, over a border between two pieces."""
    numbers, nbytes = GGML_QUANT_SIZES[kind]
    data = np.random.default_rng(0).integers(0, 256, 50 * nbytes, dtype=np.uint8)
    monkeypatch.setattr(gguf_types, "_PIECE", 7 * numbers)
    found = dequantised(torch.from_numpy(data), int(kind))
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(data.reshape(50, nbytes), kind).reshape(-1)
    assert found.dtype == torch.float32
    assert torch.equal(found.nan_to_num(7.0), torch.from_numpy(expected.copy()).nan_to_num(7.0))


def test_the_types_that_are_read_are_those_that_the_package_dequantises() -> None:
    names = {kind.name for kind in DEQUANTISED}
    assert {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q2_K", "Q4_K", "Q6_K", "IQ2_XXS", "IQ4_XS"} <= names
    assert not names & {"I8", "I32", "Q8_K"}


def test_vectors_that_stand_apart_in_older_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RWKV-6, before its five vectors were fused."""
    real = gguf_file.rwkv6_block

    def apart(layer, block):
        for name, x in real(layer, block):
            if name != "time_mix_lerp_fused.weight":
                yield name, x
        for m in "wkvrg":
            yield f"time_mix_lerp_{m}.weight", block[f"att.time_maa_{m}"].squeeze()

    monkeypatch.setattr(gguf_file, "rwkv6_block", apart)
    spec = tiny.spec(arch="rwkv6")
    assert_official(gguf_file.write(tmp_path / "a.gguf", spec, tiny.tensors(spec)), spec)


def test_values_are_mapped_not_copied(tmp_path: Path) -> None:
    spec = tiny.spec()
    path = gguf_file.write(tmp_path / "a.gguf", spec, tiny.tensors(spec))
    archive = open_archive(path)
    again = archive.get("blocks.1.att.key.weight")
    assert archive.get("blocks.1.att.key.weight").data_ptr() == again.data_ptr()
    again.zero_()  # writing changes our pages, not the file
    assert_official(path, spec)


# ------------------------------------------------------------------------------------------------ refusing


@pytest.mark.parametrize(
    ("pairs", "hint"),
    [
        ({"general.architecture": "arwkv7"}, "hybrid"),
        ({"general.architecture": "rwkv6qwen2"}, "hybrid"),
        ({"general.architecture": "llama"}, "gguf-other"),
        ({"general.type": "adapter"}, "adapter"),
    ],
)
def test_what_is_not_a_model_of_ours_is_named(pairs: dict[str, str], hint: str, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", pairs.get("general.architecture", "rwkv7"))
    for key, value in pairs.items():
        if key != "general.architecture":
            writer.add_string(key, value)
    writer.add_tensor("x", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedFormat) as caught:
        open_archive(tmp_path / "a.gguf")
    assert caught.value.hint == hint


def test_a_part_of_a_split_model_is_named(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "rwkv7")
    writer.add_uint16("split.count", 3)
    writer.add_tensor("x", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedFormat) as caught:
        open_archive(tmp_path / "a.gguf")
    assert caught.value.hint == "gguf-split"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    spec = tiny.spec(n_layer=1)
    path = gguf_file.write(tmp_path_factory.mktemp("sound") / "a.gguf", spec, tiny.tensors(spec))
    return path.read_bytes()


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def first_tensor(data: bytes) -> int:
    """Where "token_embd.weight" stands, behind its length; then dimensions, two sizes, type, offset."""
    return data.index(b"token_embd.weight") + len(b"token_embd.weight")


LARGE = (1 << 63).to_bytes(8, "little")
TERA = (1 << 40).to_bytes(8, "little")
DAMAGE = {
    "tensors": lambda data: changed(data, 8, LARGE),
    "pairs": lambda data: changed(data, 16, LARGE),
    "a key's length": lambda data: changed(data, 24, LARGE),
    "a value's type": lambda data: changed(data, data.index(b"general.architecture") + 20, b"\x63"),
    "dimensions": lambda data: changed(data, first_tensor(data), b"\xff\xff\xff\xff"),
    "a size": lambda data: changed(data, first_tensor(data) + 4, LARGE),
    "no size": lambda data: changed(data, first_tensor(data) + 4, bytes(8)),
    "sizes that overflow": lambda data: changed(
        data, first_tensor(data) + 4, (1 << 40).to_bytes(8, "little") * 2
    ),
    "an offset": lambda data: changed(data, first_tensor(data) + 24, LARGE),
    "an odd offset": lambda data: changed(data, first_tensor(data) + 24, b"\x03"),
    "two at one place": lambda data: changed(
        data, first_tensor(data) + 24, (32 * 96 * 4).to_bytes(8, "little")
    ),
    "a name twice": lambda data: data.replace(b"blk.0.time_mix_w2.", b"blk.0.time_mix_w1.", 1),
    "a name not in UTF-8": lambda data: data.replace(b"token_embd.weight", b"token_embd.weigh\xff", 1),
    "cut in the data": lambda data: data[:-5],
    "cut in the header": lambda data: data[: first_tensor(data) + 6],
    "cut in the magic": lambda data: data[:10],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_number_of_the_header_is_checked(damage: str, sound: bytes, tmp_path: Path) -> None:
    data = DAMAGE[damage](sound)
    assert data != sound
    (tmp_path / "a.gguf").write_bytes(data)
    with pytest.raises(WeightsCorrupt):
        open_archive(tmp_path / "a.gguf")


def test_any_change_of_the_header_is_a_typed_error_or_a_model(
    sound: bytes, tmp_path: Path, sample: Sample
) -> None:
    """Bytes in place of others, numbers of odd sizes above all; every value of what is read is asked for."""
    rng, path = random.Random(0), tmp_path / "a.gguf"
    path.write_bytes(sound)
    end = min(info.start for info in read_header(path).tensors.values())
    numbers = (0, 1, 4, 8, 9, 255, len(sound), 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 63, (1 << 64) - 1)
    read = 0
    for _ in range(sample("changed GGUF headers", 400, 10_000)):
        data = sound
        for _ in range(rng.choice((1, 1, 2, 4))):
            width = rng.choice((1, 4, 8))
            new = (rng.choice(numbers) % (1 << 8 * width)).to_bytes(width, "little")
            data = changed(data, rng.randrange(end), new if rng.random() < 0.6 else rng.randbytes(width))
        path.write_bytes(data)
        with contextlib.suppress(EngineError):
            archive = open_archive(path)
            assert sum(archive.get(name).numel() for name in archive.shapes) <= len(sound)
            read += 1
    assert read  # a change of a text or of a number that is not used


@pytest.mark.parametrize("version", [b"\x01\0\0\0", b"\0\0\0\x03"])
def test_other_versions_and_byte_orders_are_named(version: bytes, sound: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(changed(sound, 4, version))
    with pytest.raises(UnsupportedFormat) as caught:
        open_archive(tmp_path / "a.gguf")
    assert caught.value.hint == "gguf-version"


def test_arrays_in_arrays_end_somewhere(sound: bytes, tmp_path: Path) -> None:
    """An array of arrays of arrays … is passed over up to a depth, and counted."""
    deep = b"\x09\0\0\0" + b"\x01" + bytes(7)
    for depth, good in ((3, True), (40, False)):
        value = b"\x09\0\0\0" + deep * depth + b"\x04\0\0\0" + bytes(8)
        pair = (1).to_bytes(8, "little") + b"x" + value
        count = int.from_bytes(sound[16:24], "little") + 1
        data = sound[:16] + count.to_bytes(8, "little") + pair + sound[24:]
        (tmp_path / "a.gguf").write_bytes(data + bytes(64))
        if good:
            assert open_archive(tmp_path / "a.gguf").format == "gguf"
        else:
            with pytest.raises(WeightsCorrupt, match="array"):
                open_archive(tmp_path / "a.gguf")


# ------------------------------------------------------------------------------------------------ tokenizer


@given(st.binary(min_size=1, max_size=12))
def test_an_escaped_token_is_the_same_bytes_again(entry: bytes) -> None:
    assert unescaped(escaped(entry)) == entry


def tokens(rows: int = 65536) -> list[bytes]:
    return [text for text, _ in world_tokens(rows)]


def test_the_vocabulary_is_written_as_the_converter_writes_it() -> None:
    texts, kinds = zip(*world_tokens(65536), strict=True)
    entry = world_tokenizer().token_bytes
    assert (texts[0], kinds[0]) == (b"<s>", gguf.TokenType.CONTROL)
    for token in range(1, ENTRIES + 1):
        assert texts[token] == repr(entry(token))[2:-1].encode()
    assert texts[ENTRIES + 1 :] == tuple(f"[PAD{token}]".encode() for token in range(ENTRIES + 1, 65536))
    assert set(kinds[1 : ENTRIES + 1]) == {gguf.TokenType.NORMAL}
    assert set(kinds[ENTRIES + 1 :]) == {gguf.TokenType.UNUSED}


def test_whose_tokenizer_a_file_has_is_told_and_a_wrong_one_refused(tmp_path: Path) -> None:
    spec = tiny.spec(n_layer=1, vocab_size=65536)
    official = tiny.tensors(spec)
    path = gguf_file.write(tmp_path / "a.gguf", spec, official, tokens=tokens())
    assert open_archive(path).notes["tokenizer"] == "world"
    swapped = tokens()
    swapped[500], swapped[501] = swapped[501], swapped[500]
    path = gguf_file.write(tmp_path / "b.gguf", spec, official, tokens=swapped)
    with pytest.raises(WeightsCorrupt, match="token 500"):
        open_archive(path)
    without = gguf_file.write(tmp_path / "c.gguf", tiny.spec(), tiny.tensors(tiny.spec()))
    assert open_archive(without).notes["tokenizer"] == "none"


# ------------------------------------------------------------------------------------------------ writing


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("arch", ARCHS)
def test_what_is_written_is_read_again(arch: str, dtype: str, tmp_path: Path) -> None:
    """To the bit; six layers, since RWKV-6's seventh is halved, which fp16 rounds (see the converter's)."""
    spec = tiny.spec(arch=arch, n_layer=6)
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    torch_dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    archive = open_archive(written(source, tmp_path / "a.gguf", dtype))
    for name, x in tiny.plain_tensors(spec).items():
        found = archive.get(name).reshape(x.shape)
        assert found.dtype in (torch.float32, torch_dtype)
        assert torch.equal(found, x.to(found.dtype)), name
    assert archive.get("blocks.0.ffn.key.weight").dtype == torch_dtype


@pytest.mark.parametrize("arch", ARCHS)
def test_stored_keeps_the_sources_numbers(arch: str, tmp_path: Path) -> None:
    spec = tiny.spec(arch=arch, n_layer=7)
    source = tiny.checkpoint(tmp_path / "a.pth", spec, dtype=torch.bfloat16)
    archive = open_archive(written(source, tmp_path / "a.gguf"))
    for name, x in tiny.plain_tensors(spec).items():
        assert torch.equal(archive.get(name).reshape(x.shape).float(), x.bfloat16().float()), name


@pytest.mark.parametrize("arch", ARCHS)
def test_eight_bits_lose_no_more_than_half_a_step(arch: str, tmp_path: Path) -> None:
    """Q8_0: 127 steps up to the largest of 32 numbers, whose scale is kept in fp16."""
    spec = wide_spec(arch)
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    archive = open_archive(written(source, tmp_path / "a.gguf", "q8_0"))
    for name, x in tiny.plain_tensors(spec).items():
        found = archive.get(name).reshape(x.shape)
        if name.endswith(".weight") and x.ndim == 2:
            blocks = x.reshape(-1, 32)
            step = blocks.abs().amax(1, keepdim=True) / 127
            assert ((found.reshape(-1, 32) - blocks).abs() <= step * (0.5 + 127 * 2.0**-11)).all(), name
        elif found.dtype == torch.float16:
            assert torch.equal(found, x.half()), name
        else:
            assert torch.equal(found, x), name


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "Q8_0"])
@pytest.mark.parametrize("arch", ARCHS)
def test_our_file_is_the_converters_but_for_the_order(arch: str, dtype: str, tmp_path: Path) -> None:
    """Names, shapes, types and bytes of every tensor, through the package's reader; and what it is told."""
    spec = wide_spec(arch)
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    ours = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "Q8_0": "q8_0"}[dtype]
    mine = gguf.GGUFReader(written(source, tmp_path / "a.gguf", ours))
    theirs = gguf.GGUFReader(gguf_file.write(tmp_path / "b.gguf", spec, tiny.tensors(spec), Type[dtype]))
    expected = {tensor.name: tensor for tensor in theirs.tensors}
    assert {tensor.name for tensor in mine.tensors} == expected.keys()
    low_rank = re.compile(r"time_mix_[avg][12]\.weight$")  # llama.cpp's quantiser leaves them in fp16
    for tensor in mine.tensors:
        other = expected[tensor.name]
        assert list(tensor.shape) == list(other.shape), tensor.name
        if dtype == "Q8_0" and low_rank.search(tensor.name):
            assert tensor.tensor_type == Type.F16
            continue
        assert tensor.tensor_type == other.tensor_type, tensor.name
        assert np.array_equal(tensor.data, other.data), tensor.name
    for key, field in theirs.fields.items():
        if key.startswith(arch):
            assert mine.fields[key].contents() == field.contents(), key


def test_a_world_model_carries_its_tokenizer(tmp_path: Path) -> None:
    spec = tiny.spec(n_layer=1, vocab_size=65536)
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    for turns, end in ((WORLD, 261), (BOT, 10060)):
        path = written(source, tmp_path / f"{end}.gguf", "bf16", turns=turns)
        header = read_header(path)
        assert header.text("tokenizer.ggml.model") == "rwkv"
        assert header.strings("tokenizer.ggml.tokens") == tokens()
        ends = [header.number(f"tokenizer.ggml.{kind}_token_id") for kind in ("bos", "eos", "eot")]
        assert ends == [0, 0, end]
        assert header.text("tokenizer.chat_template") == chat_template(turns)
        assert open_archive(path).notes == {"types": "F32 × 20, BF16 × 14", "tokenizer": "world", "name": "a"}


def test_a_stopped_conversion_leaves_nothing(tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    list(convert(source, tmp_path / "a.gguf", "gguf", should_stop=lambda: True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth"]


def test_numbers_beyond_fp16_are_refused(tmp_path: Path) -> None:
    spec = tiny.spec()
    official = tiny.tensors(spec)
    official["blocks.1.ffn.key.weight"][3, 4] = 1e5
    source = tiny.save(tmp_path / "a.pth", official)
    with pytest.raises(WeightsCorrupt, match="fp16"):
        written(source, tmp_path / "a.gguf", "fp16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth"]


# ------------------------------------------------------------------------------------------------ templates

BEGIN = {"bos_token": "<s>"}
CONVERSATION = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "你好 {{x}}")]
SPELT = {
    "world": (
        WORLD,
        "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\nUser: 你好 {{x}}\n\nAssistant:",
    ),
    "bot": (BOT, "System✿Be brief.✿\nUser✿Hi✿\nBot✿Hello.✿\nUser✿你好 {{x}}✿\nBot✿"),
    "odd": (
        Turns('{{"{text}"', "={text}", "%{text}", '"', "{%", ()),
        '{%%Be brief."{{"Hi"=Hello."{{"你好 {{x}}"',
    ),
}


@pytest.mark.parametrize("name", SPELT)
def test_the_jinja_template_spells_conversations(name: str) -> None:
    turns, expected = SPELT[name]
    messages = [{"role": role, "content": text} for role, text in CONVERSATION]
    plain = Environment(autoescape=False)  # noqa: S701  a prompt is no web page
    rendered = plain.from_string(chat_template(turns)).render(messages=messages, **BEGIN)
    assert rendered == "<s>" + expected
    assert ("rwkv-world" in chat_template(turns)) == (turns == WORLD)


def go(text: str, messages: list[tuple[str, str]]) -> str:
    """As much of Go's templates as ours use: one range, ifs with else in it, strings and variables."""
    before, _, rest = text.partition("{{ range $i, $m := .Messages }}")
    body, _, after = rest.rpartition("{{ end }}")
    return before + "".join(turn(body, *each) for each in enumerate(messages)) + after


def turn(body: str, index: int, message: tuple[str, str]) -> str:
    values = {"$i": index, "$m.Role": message[0], "$m.Content": message[1]}
    output, live = [], [True]  # whether what is read now counts, by depth
    for at, part in enumerate(re.split(r"\{\{ (.*?) \}\}", body)):
        if at % 2 == 0:
            output.append(part * all(live))
        elif found := re.fullmatch(r"if (?:eq (\S+) )?(\S+)", part):
            left, right = found.groups()
            live.append(values[left] == json.loads(right) if left else bool(values[right]))
        elif part == "else":
            live[-1] = not live[-1]
        elif part == "end":
            live.pop()
        elif all(live):
            output.append(str(values[part]) if part in values else json.loads(part))
    assert live == [True]
    return "".join(output)


@pytest.mark.parametrize("name", SPELT)
def test_the_modelfiles_template_spells_conversations(name: str) -> None:
    turns, expected = SPELT[name]
    assert go(template(turns), CONVERSATION) == "<s>" + expected


def parsed(text: str) -> list[tuple[str, str]]:
    """Commands of a Modelfile: a value in quotes may go over lines."""
    found = re.findall(r'^(FROM|TEMPLATE|PARAMETER \w+) ("""[\s\S]*?"""|"[^"\n]*"|\S+)$', text, re.MULTILINE)
    return [(command, re.sub(r'^("""|")([\s\S]*)\1$', r"\2", value)) for command, value in found]


def test_a_modelfile_stands_beside_its_model(tmp_path: Path) -> None:
    sampling = SamplingParams(temperature=0.3, top_p=0.55, max_tokens=500, presence_penalty=0.1)
    path = write_modelfile(tmp_path / "my model.gguf", WORLD, sampling)
    assert path == tmp_path / "my model.Modelfile"
    assert parsed(path.read_text()) == [
        ("FROM", "./my model.gguf"),
        ("TEMPLATE", template(WORLD)),
        ("PARAMETER stop", "\n\nUser:"),
        ("PARAMETER num_ctx", "32768"),
        ("PARAMETER repeat_penalty", "1"),
        ("PARAMETER temperature", "0.3"),
        ("PARAMETER top_p", "0.55"),
        ("PARAMETER top_k", "0"),
        ("PARAMETER min_p", "0"),
        ("PARAMETER presence_penalty", "0.1"),
        ("PARAMETER frequency_penalty", "0"),
        ("PARAMETER num_predict", "500"),
    ]


def test_a_name_that_a_modelfile_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        modelfile(tmp_path / 'a".gguf')


def test_all_tensors_of_a_spec_are_written(tmp_path: Path) -> None:
    for arch in ARCHS:
        spec = tiny.spec(arch=arch, n_layer=1)
        source = tiny.checkpoint(tmp_path / f"{arch}.pth", spec)
        archive = open_archive(written(source, tmp_path / f"{arch}.gguf"))
        assert archive.shapes.keys() == expected_shapes(spec).keys()
