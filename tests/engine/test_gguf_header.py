"""A GGUF header is believed in nothing: what is not ours is named, what is damaged is a typed error."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest

from engine.errors import EngineError, UnsupportedFormat, WeightsCorrupt
from engine.weights.archive import open_archive
from engine.weights.gguf_header import read_header
from tests.engine import gguf_file, tiny

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Sample


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
