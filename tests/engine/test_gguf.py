"""GGUF: what llama.cpp's converter makes is read as the official model; what we write is what it makes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest
import torch
from gguf.constants import GGML_QUANT_SIZES
from gguf.constants import GGMLQuantizationType as Type

from engine.errors import WeightsCorrupt
from engine.models.names import expected_shapes
from engine.models.rwkv7_names import UNUSED
from engine.weights import gguf_types
from engine.weights.archive import open_archive
from engine.weights.export import convert
from engine.weights.gguf_types import dequantised
from engine.weights.load import read_spec
from tests.engine import gguf_file, tiny

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import ModelSpec

ARCHS = ("rwkv6", "rwkv7")
# the types that the package dequantises
DEQUANTISED = tuple(kind for kind in Type if gguf_types._block(int(kind)))
# and those that it also quantises
QUANTISED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4")


def wide_spec(arch: str) -> ModelSpec:
    """Rows of whole blocks in every type; enough layers for RWKV-6's halving."""
    return tiny.spec(arch=arch, n_layer=7, n_embd=256, head_size=64, vocab_size=40)


def written(source: Path, target: Path, dtype: str = "stored", **more) -> Path:
    list(convert(source, target, "gguf", dtype=dtype, **more))
    return target


def assert_official(path: Path, spec: ModelSpec) -> None:
    """The model of `tiny.tensors(spec)` in fp32, to the bit; block 0's value residual is left out."""
    archive, official = open_archive(path), tiny.tensors(spec)
    assert read_spec(path) == spec
    assert archive.shapes.keys() == official.keys() - UNUSED
    for name, shape in archive.shapes.items():
        found = archive.get(name)
        assert tuple(found.shape) == shape == tuple(official[name].shape), name
        assert torch.equal(found, official[name]), name


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
        halved = arch == "rwkv6" and name in ("blocks.6.att.output.weight", "blocks.6.ffn.value.weight")
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
    assert kind in archive.types
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


def test_all_tensors_of_a_spec_are_written(tmp_path: Path) -> None:
    for arch in ARCHS:
        spec = tiny.spec(arch=arch, n_layer=1)
        source = tiny.checkpoint(tmp_path / f"{arch}.pth", spec)
        archive = open_archive(written(source, tmp_path / f"{arch}.gguf"))
        assert archive.shapes.keys() == expected_shapes(spec).keys()
