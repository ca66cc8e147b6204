"""Every writer's file is read again as the same model, bit for bit, and by the programs it is made for."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from engine.errors import DiskFailed, DiskFull, FileInTheWay, InvalidRequest, WeightsCorrupt
from engine.models.names import expected_shapes, stored_shape
from engine.types import Progress
from engine.weights import place
from engine.weights.archive import open_archive
from engine.weights.export import WRITERS, convert
from engine.weights.load import read_spec
from tests.engine import samples, tiny
from tests.engine.rwkv_package import Job, references

if TYPE_CHECKING:
    from collections.abc import Generator

    from engine.types import ModelSpec

# a GGUF file mixes dtypes: tests/engine/test_gguf.py
CASES = [(name, arch) for name, writer in WRITERS.items() for arch in writer.archs if name != "gguf"]
PLAIN = ("pth", "safetensors")


def run(generator: Generator[Progress, None, Path | None]) -> Path | None:
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def tensors_of(path: Path, spec: ModelSpec) -> dict[str, torch.Tensor]:
    """Under official names, as plain vectors and matrices."""
    archive = open_archive(path)
    return {name: archive.get(name).reshape(shape) for name, shape in expected_shapes(spec).items()}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        assert found[name].dtype == x.dtype
        assert torch.equal(found[name], x), name


@pytest.mark.parametrize(("format_", "arch"), CASES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_what_is_written_is_read_again(format_: str, arch: str, dtype: torch.dtype, tmp_path: Path) -> None:
    spec = tiny.spec(arch=arch)
    source = tiny.save(tmp_path / "a.pth", tiny.tensors(spec), dtype)
    target = tmp_path / f"b{WRITERS[format_].suffix}"
    assert run(convert(source, target, format_)) == target
    stored = dtype if "stored" in WRITERS[format_].dtypes else torch.float16
    expected = {name: x.to(dtype).to(stored) for name, x in tiny.plain_tensors(spec).items()}
    if (format_, arch) == ("web-rwkv", "rwkv5.1"):  # its numbers per head are spread over the channels
        for name in [name for name in expected if name.endswith(("time_decay", "time_faaaa"))]:
            expected[name] = expected[name][:, None].expand(-1, spec.head_size)
        spec = tiny.spec(arch="rwkv5.2")
    assert read_spec(target) == spec
    assert_equal(tensors_of(target, spec), expected)


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_every_format_becomes_an_official_file(name: str, tmp_path: Path) -> None:
    """And is the same again through safetensors."""
    spec = samples.spec_of(name)
    folder = tmp_path / "source"
    folder.mkdir()
    source = samples.SAMPLES[name](folder, spec)
    for format_ in PLAIN:
        target = tmp_path / f"b{WRITERS[format_].suffix}"
        run(convert(source, target, format_, dtype="fp32"))
        assert_equal(tensors_of(target, spec), tiny.plain_tensors(spec, samples.SEED))


@pytest.mark.parametrize("format_", PLAIN)
@pytest.mark.parametrize("arch", tiny.ARCHS)
def test_official_names_and_shapes(format_: str, arch: str, tmp_path: Path) -> None:
    """Vectors as [1,1,C], and what only some official files have is kept."""
    spec = tiny.spec(arch=arch)
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    target = tmp_path / f"b{WRITERS[format_].suffix}"
    run(convert(source, target, format_, dtype="bf16"))
    assert open_archive(target).shapes == open_archive(source).shapes
    assert open_archive(target).shapes["blocks.1.ln1.bias"] == stored_shape(spec, "blocks.1.ln1.bias")


def test_a_log_bonus_keeps_its_name(tmp_path: Path) -> None:
    spec = tiny.spec(arch="rwkv5.0", log_bonus=True)
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    run(convert(source, tmp_path / "b.pth", "pth"))
    assert read_spec(tmp_path / "b.pth") == spec


@pytest.mark.parametrize("v7", [False, True])
def test_the_rwkv_package_reads_our_pth(v7: bool, tmp_path: Path) -> None:
    """And says what it says of the file that torch.save wrote."""
    archs = [arch for arch in tiny.ARCHS if (arch == "rwkv7") == v7]
    files: list[Path] = []
    for arch in archs:
        source = tiny.checkpoint(tmp_path / f"{arch}-a.pth", tiny.spec(arch=arch, head_size=64, n_embd=128))
        target = run(convert(source, tmp_path / f"{arch}-b.pth", "pth"))
        assert target is not None
        files += [source, target]
    said = references([Job(path, [1, 5, 95, 0, 7], (5,)) for path in files], v7=v7)
    for arch, theirs, ours in zip(archs, said[::2], said[1::2], strict=True):
        assert torch.equal(ours.logits, theirs.logits), arch


def test_torch_maps_our_pth_without_code_and_in_place(tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    run(convert(source, tmp_path / "b.pth", "pth", dtype="bf16"))
    loaded = torch.load(tmp_path / "b.pth", mmap=True, weights_only=True)
    assert [x.data_ptr() % 64 for x in loaded.values()] == [0] * len(loaded)
    assert all(x.is_contiguous() and x.dtype == torch.bfloat16 for x in loaded.values())
    with zipfile.ZipFile(tmp_path / "b.pth") as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_entries_too_large_for_a_plain_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit of 2 GB lowered to 1 kB."""
    spec = tiny.spec()
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    run(convert(source, tmp_path / "b.pth", "pth"))
    monkeypatch.undo()
    loaded = torch.load(tmp_path / "b.pth", mmap=True, weights_only=True)
    assert [x.data_ptr() % 64 for x in loaded.values()] == [0] * len(loaded)
    assert_equal(tensors_of(tmp_path / "b.pth", spec), tiny.plain_tensors(spec))


def test_progress_ends_at_all_bytes(tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    events = list(convert(source, tmp_path / "b.st", "safetensors"))
    assert all(isinstance(event, Progress) and event.task == "convert" for event in events)
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert events[-1].done == events[-1].total == open_archive(tmp_path / "b.st").nbytes


# ----------------------------------------------------------------------------------- what does not happen


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("format_", WRITERS)
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_cancel_leaves_nothing(format_: str, after: int, tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.safetensors", tiny.spec())
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) > after

    assert run(convert(source, tmp_path / "b", format_, should_stop=should_stop)) is None
    assert names(tmp_path) == {"a.safetensors"}


@pytest.mark.parametrize("format_", WRITERS)
def test_a_generator_that_is_let_go_leaves_nothing(format_: str, tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    generator = convert(source, tmp_path / "b", format_)
    next(generator)
    generator.close()
    assert names(tmp_path) == {"a.pth"}


UNFINISHED = """
import sys, time
from pathlib import Path
from engine.weights.place import in_place_of
with in_place_of(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_program_left_goes_with_the_next_try(tmp_path: Path) -> None:
    """And what a living one is writing stays."""
    source, target = tiny.checkpoint(tmp_path / "a.pth", tiny.spec()), tmp_path / "b.pth"
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", UNFINISHED, str(target)], cwd=root, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        (left,) = (each for each in tmp_path.iterdir() if each.suffix == ".tmp")
        assert run(convert(source, target, "pth")) == target
        assert left.read_bytes() == b"half"
        other.kill()
    assert run(convert(source, target, "pth", overwrite=True)) == target
    assert names(tmp_path) == {"a.pth", "b.pth"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_would_not_be_loaded_is_not_written(value: float, tmp_path: Path) -> None:
    made = tiny.tensors(tiny.spec())
    made["head.weight"][3, 4] = value
    with pytest.raises(WeightsCorrupt):
        run(convert(tiny.save(tmp_path / "a.pth", made), tmp_path / "b.pth", "pth"))
    assert names(tmp_path) == {"a.pth"}


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    target = tmp_path / "b.pth"
    target.write_text("mine")
    with pytest.raises(FileInTheWay):
        run(convert(source, target, "pth"))
    assert target.read_text() == "mine"
    assert run(convert(source, target, "pth", overwrite=True)) == target
    assert read_spec(target) == tiny.spec()
    assert run(convert(target, target, "pth", dtype="bf16", overwrite=True)) == target  # onto itself
    assert read_spec(target) == tiny.spec()


@pytest.mark.parametrize("links", [True, False])
def test_what_another_program_wrote_meanwhile_is_not_overwritten(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tiny.checkpoint(tmp_path / "a.pth", tiny.spec()), tmp_path / "b.pth"

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    if not links:
        monkeypatch.setattr(place.os, "link", refused)
    converting = convert(source, target, "pth")
    next(converting)
    target.write_text("mine")
    with pytest.raises(FileInTheWay):
        run(converting)
    assert target.read_text() == "mine"
    assert names(tmp_path) == {"a.pth", "b.pth"}
    target.unlink()
    assert run(convert(source, target, "pth")) == target
    assert names(tmp_path) == {"a.pth", "b.pth"}


def test_room_is_checked_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    monkeypatch.setattr(place.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(DiskFull) as error:
        run(convert(source, tmp_path / "b.pth", "pth"))
    assert error.value.free == 1000
    assert error.value.needed > 1000
    assert names(tmp_path) == {"a.pth"}


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(place.os, "fsync", refuse)
    with pytest.raises(DiskFailed):
        run(convert(source, tmp_path / "b.pth", "pth"))
    assert names(tmp_path) == {"a.pth"}


def test_no_folder(tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    with pytest.raises(DiskFailed):
        run(convert(source, tmp_path / "none" / "b.pth", "pth"))


def test_a_damaged_source_is_not_written(tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    data = bytearray(source.read_bytes())
    data[len(data) // 2] ^= 1
    source.write_bytes(data)
    with pytest.raises(WeightsCorrupt):
        run(convert(source, tmp_path / "b.pth", "pth"))
    assert names(tmp_path) == {"a.pth"}


@pytest.mark.parametrize("format_", WRITERS)
def test_numbers_that_fp16_has_not(format_: str, tmp_path: Path) -> None:
    made = tiny.tensors(tiny.spec())
    made["blocks.1.ffn.key.weight"][2, 3] = 70000.0
    source = tiny.save(tmp_path / "a.pth", made)
    with pytest.raises(WeightsCorrupt) as error:
        run(convert(source, tmp_path / "b", format_, dtype="fp16"))
    assert error.value.where == "blocks.1.ffn.key.weight"
    assert names(tmp_path) == {"a.pth"}


@pytest.mark.parametrize(
    ("format_", "dtype", "arch"),
    [
        ("zip", "bf16", "rwkv7"),
        ("pth", "int3", "rwkv7"),
        ("web-rwkv", "bf16", "rwkv7"),
        ("web-rwkv", "fp16", "rwkv5.0"),
    ],
)
def test_what_cannot_be_asked_for(format_: str, dtype: str, arch: str, tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec(arch=arch))
    with pytest.raises(InvalidRequest):
        run(convert(source, tmp_path / "b", format_, dtype=dtype))
    assert names(tmp_path) == {"a.pth"}
