"""Weights stay where they lie in the file, or in a converted layout that is made once and never trusted."""

from __future__ import annotations

import os
import random
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import FileChanged, WeightsCorrupt
from engine.models.tiers import TIERS
from engine.types import NotKept, Progress
from engine.weights import layout, reading
from engine.weights.layout_files import layouts_of
from engine.weights.load import load
from tests.children import in_child, status
from tests.engine import tiny
from tests.engine.samples import SAMPLES, spec_of

SMALL = tiny.spec(n_layer=2, n_embd=16, head_size=8, vocab_size=11, rank=4)


@pytest.fixture(autouse=True)
def thresholds(monkeypatch):
    """Tiny models are handled like large ones, on a full disk too."""
    monkeypatch.setattr(reading, "MAPPED_FROM", 0)
    monkeypatch.setattr(reading, "KEPT_FROM", 1)
    monkeypatch.setattr(layout, "RESERVE", 0)


def run(path, **options):
    """The model and what was told."""
    told, loading = [], load(path, device="cpu", **options)
    while True:
        try:
            told.append(next(loading))
        except StopIteration as stop:
            return stop.value, told


def logits(model) -> torch.Tensor:
    tokens = torch.arange(20)[None] % model.spec.vocab_size
    return model.forward(tokens, model.zero_state())[0]


def tasks(told) -> set[str]:
    return {event.task for event in told if isinstance(event, Progress)}


def copied(path, tier, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(reading, "MAPPED_FROM", 1 << 60)
        return logits(run(path, dtype=tier)[0])


# ---------------------------------------------------------------------------------- the same model either way


@pytest.mark.parametrize("arch", tiny.ARCHS)
@pytest.mark.parametrize("tier", [*TIERS, "int8"])
@pytest.mark.parametrize("stored", ["bf16", "fp16"])
def test_a_mapped_model_is_the_copied_one(arch, tier, stored, tmp_path, monkeypatch):
    """Seven layers, so that fp16 has something to halve in versions 4 to 6."""
    spec = tiny.spec(n_layer=7, n_embd=16, head_size=8, vocab_size=20_100, rank=4, arch=arch)
    path = tiny.checkpoint(tmp_path / "model.pth", spec, dtype=TIERS[stored])
    expected = copied(path, tier, monkeypatch)
    monkeypatch.setattr(reading, "TURNED_FROM", 0)
    first, second = (run(path, dtype=tier)[0] for _ in range(2))
    assert torch.equal(logits(first), logits(second))
    # ln0 is applied to rows in place of the whole embedding: rounded at another place
    tolerance = {"fp32": 1e-6, "bf16": 2e-2, "fp16": 2e-3, "int8": 2e-2}[tier]
    assert (logits(first) - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_has_a_layout(name, tmp_path, monkeypatch):
    path = SAMPLES[name](tmp_path, spec_of(name))
    for tier in ("fp32", "bf16", "int8"):
        expected = copied(path, tier, monkeypatch)
        for _ in range(2):
            found = logits(run(path, dtype=tier)[0])
            assert (found - expected).norm() <= 2e-2 * expected.norm()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_the_run_dtype_stay_in_the_file(suffix, tmp_path):
    """Nothing is converted, nothing is kept, and what the file maps is what the model computes with."""
    path = tiny.checkpoint(tmp_path / f"model{suffix}", SMALL, dtype=torch.bfloat16)
    model, told = run(path, dtype="bf16")
    assert tasks(told) == {"load"}
    assert layouts_of(path) == ()
    data = path.read_bytes()
    for x in model.tensors.values():
        assert bytes(x.reshape(-1).view(torch.uint8).numpy()) in data
    bounds = mapped_at(path)
    for name, x in model.tensors.items():
        assert any(low <= x.data_ptr() < high for low, high in bounds), name


def mapped_at(path: Path) -> list[tuple[int, int]]:
    """Addresses at which a file is mapped; on systems that do not tell, all of them."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return [(0, 1 << 64)]
    lines = [line.split()[0] for line in maps.read_text().splitlines() if line.endswith(str(path))]
    return [(int(low, 16), int(high, 16)) for low, high in (line.split("-") for line in lines)]


def test_shapes_are_worked_out_once_for_a_load(tmp_path, monkeypatch):
    """Not for every tensor: that takes seconds for a model of 61 layers."""
    path = tiny.checkpoint(tmp_path / "model.pth", SMALL, dtype=torch.bfloat16)
    asked = []
    real = reading.expected_shapes
    monkeypatch.setattr(reading, "expected_shapes", lambda spec: asked.append(spec) or real(spec))
    run(path, dtype="bf16")
    assert len(asked) <= 2


def test_8_bit_matrices_are_aligned_in_the_file(tmp_path):
    """Whatever stands before them: the operator for few rows takes no others."""
    spec = tiny.spec(n_layer=2, n_embd=64, head_size=32, vocab_size=77, rank=4)
    path = tiny.checkpoint(tmp_path / "model.pth", spec, dtype=torch.bfloat16)
    model, _ = run(path, dtype="int8")
    matrices = [x for x in model.tensors.values() if x.dtype == torch.int8]
    assert len(matrices) == 11
    assert all(x.data_ptr() % 64 == 0 for x in matrices)


# --------------------------------------------------------------------------------------------- made once


@pytest.fixture
def made(tmp_path):
    """A model that needs a layout in fp32, its logits, and its layout."""
    path = tiny.checkpoint(tmp_path / "model.pth", SMALL, dtype=torch.bfloat16)
    model, told = run(path, dtype="fp32")
    assert tasks(told) == {"convert", "load"}
    (kept,) = layouts_of(path)
    return path, logits(model), kept


def test_a_layout_is_made_once(made):
    path, expected, kept = made
    before = kept.stat().st_mtime_ns
    model, told = run(path, dtype="fp32")
    assert tasks(told) == {"load"}
    assert torch.equal(logits(model), expected)
    assert kept.stat().st_mtime_ns == before


def test_each_tier_has_its_own(made):
    path, _, kept = made
    run(path, dtype="fp16")
    assert len(layouts_of(path)) == 2
    assert kept in layouts_of(path)


def test_another_file_of_that_name_gets_another_layout(made):
    path, old, _ = made
    tiny.checkpoint(path, SMALL, seed=1, dtype=torch.bfloat16)
    model, told = run(path, dtype="fp32")
    assert tasks(told) == {"convert", "load"}
    assert not torch.equal(logits(model), old)
    assert len(layouts_of(path)) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x03\x04", b"\0" * 5000])
def test_a_foreign_file_in_its_place_is_replaced(made, content):
    path, expected, kept = made
    kept.write_bytes(content)
    model, told = run(path, dtype="fp32")
    assert tasks(told) == {"convert", "load"}
    assert torch.equal(logits(model), expected)


def test_another_models_layout_is_not_taken(made, tmp_path):
    path, expected, kept = made
    other = tiny.checkpoint(tmp_path / "other.pth", SMALL, seed=2, dtype=torch.bfloat16)
    run(other, dtype="fp32")
    shutil.copyfile(layouts_of(other)[0], kept)
    assert torch.equal(logits(run(path, dtype="fp32")[0]), expected)


def test_a_damaged_layout_is_made_anew(made, sample):
    path, expected, kept = made
    whole, rng = kept.read_bytes(), random.Random(3)
    for _ in range(sample("damaged layouts", 40, 2000)):
        data = bytearray(whole)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        else:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        kept.write_bytes(data)
        assert torch.equal(logits(run(path, dtype="fp32")[0]), expected)


# ----------------------------------------------------------------------------------------- where it stands


def test_beside_the_model_or_in_the_cache(tmp_path, monkeypatch):
    folder, cache = tmp_path / "models", tmp_path / "cache"
    folder.mkdir()
    path = tiny.checkpoint(folder / "model.pth", SMALL, dtype=torch.bfloat16)
    real = layout.in_place_of

    def refusing(place):
        if place.parent == folder:
            raise layout.DiskFailed(str(place), "Read-only file system")
        return real(place)

    monkeypatch.setattr(layout, "in_place_of", refusing)
    expected = logits(run(path, dtype="fp32", cache=cache)[0])
    (kept,) = layouts_of(path, cache)
    assert kept.is_relative_to(cache)
    model, told = run(path, dtype="fp32", cache=cache)
    assert tasks(told) == {"load"}
    assert torch.equal(logits(model), expected)


def test_without_room_it_is_converted_at_every_load(tmp_path, monkeypatch):
    path = tiny.checkpoint(tmp_path / "model.pth", SMALL, dtype=torch.bfloat16)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(layout.shutil, "disk_usage", lambda _: usage(10, 10, 0))
    for _ in range(2):
        model, told = run(path, dtype="fp32", cache=tmp_path / "cache")
        assert [event for event in told if isinstance(event, NotKept)] == [
            NotKept(str(path), sum(x.nbytes for x in model.tensors.values()))
        ]
        assert layouts_of(path, tmp_path / "cache") == ()


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path, monkeypatch):
    path = tiny.checkpoint(tmp_path / "model.pth", SMALL, dtype=torch.bfloat16)

    def full(*_):
        yield 100
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(layout, "write_tensors", full)
    _, told = run(path, dtype="fp32")
    assert any(isinstance(event, NotKept) for event in told)
    assert [each.name for each in tmp_path.iterdir()] == ["model.pth"]


@pytest.mark.parametrize("name", ["model.pth", "[a-z]*.pth", "ü ?.pth"])
def test_layouts_are_found_by_the_models_name(name, tmp_path):
    path = tiny.checkpoint(tmp_path / name, SMALL, dtype=torch.bfloat16)
    tiny.checkpoint(tmp_path / "model.pth.pth", SMALL, dtype=torch.bfloat16)
    run(path, dtype="fp32")
    run(tmp_path / "model.pth.pth", dtype="fp32")
    assert len(layouts_of(path)) == 1
    assert layouts_of(tmp_path / "none.pth") == ()


# --------------------------------------------------------------------------------------------- interruptions


def test_stop_is_honoured_at_every_moment(tmp_path):
    path = tiny.checkpoint(tmp_path / "model.pth", SMALL, dtype=torch.bfloat16)
    asked = 0

    def counting() -> bool:
        nonlocal asked
        asked += 1
        return False

    run(path, dtype="fp32", should_stop=counting)
    for moment in range(asked):
        for each in layouts_of(path):
            each.unlink()
        answers = iter([False] * moment + [True])
        assert run(path, dtype="fp32", should_stop=lambda answers=answers: next(answers))[0] is None
        assert [p.name for p in tmp_path.iterdir() if p.suffix == ".tmp"] == []


@pytest.mark.parametrize("tier", ["fp32", "bf16", "int8"])
def test_weights_that_are_no_numbers_are_named(tier, tmp_path):
    made = tiny.tensors(SMALL)
    made["blocks.1.att.key.weight"][3, 4] = float("nan")
    path = tiny.save(tmp_path / "model.safetensors", made, torch.bfloat16)
    with pytest.raises(WeightsCorrupt) as error:
        run(path, dtype=tier)
    assert error.value.where == "blocks.1.att.key.weight"
    assert layouts_of(path) == ()


@pytest.mark.parametrize("tier", ["fp32", "bf16", "int8"])
def test_a_file_that_changes_while_it_is_read_is_refused(tier, tmp_path):
    path = tiny.checkpoint(tmp_path / "model.safetensors", SMALL, dtype=torch.bfloat16)
    loading = load(path, device="cpu", dtype=tier)
    next(loading)
    os.utime(path, ns=(1, 1))
    with pytest.raises(FileChanged):
        list(loading)
    assert layouts_of(path) == ()


def test_a_file_may_be_replaced_or_deleted_under_a_mapped_model(tmp_path):
    """Not shortened in place: see engine/weights/mapped.py."""
    path = tiny.checkpoint(tmp_path / "model.pth", SMALL, dtype=torch.bfloat16)
    model, _ = run(path, dtype="bf16")
    before = logits(model)
    tiny.checkpoint(tmp_path / "new.pth", SMALL, seed=9).replace(path)
    assert torch.equal(logits(model), before)
    path.unlink()
    assert torch.equal(logits(model), before)


# ---------------------------------------------------------------------------------------------------- memory


def peak(path: Path, small: Path, tier: str) -> int:
    """In a process of its own: bytes beyond those of a process that has used another model."""
    torch.set_num_threads(1)
    used(small, tier)
    before = status("VmRSS")
    if tier == "bf16":
        reading.KEPT_FROM = reading.MAPPED_FROM
    used(path, tier)
    return status("VmHWM") - before


def used(path: Path, tier: str) -> Any:
    """The model and what it says, so that nothing of it is given back."""
    model, _ = run(path, dtype=tier)
    with torch.inference_mode():
        return model, model.forward(torch.arange(8)[None], model.zero_state())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize(
    ("suffix", "stored", "tier"),
    [(".pth", "bf16", "bf16"), (".safetensors", "fp16", "bf16"), (".pth", "bf16", "int8")],
)
def test_memory_stays_near_the_size_of_the_file(suffix, stored, tier, tmp_path, sample):
    """On the CPU, after the one-time conversion: at most 1.3 times the file, a few tokens included.

    In int8 half of the file's size is mapped, and most of that is in memory once more, packed; all pages
    counted that is about 1.4, until the system takes mapped ones back.
    """
    layers = sample(f"layers of a {stored} {suffix} model whose memory in {tier} is measured", 6, 24)
    spec = tiny.spec(n_layer=layers, n_embd=768, head_size=64, vocab_size=30_000, rank=64)
    made = {name: x.to(TIERS[stored]) for name, x in tiny.tensors(spec).items()}
    path = tiny.save(tmp_path / f"model{suffix}", made, TIERS[stored])
    del made
    small = tiny.checkpoint(tmp_path / f"small{suffix}", SMALL, dtype=TIERS[stored])
    first, size = in_child(peak, path, small, tier), path.stat().st_size
    ratio = (first if stored == tier else in_child(peak, path, small, tier)) / size
    print(f"{stored} {suffix} in {tier}: {size / 1e6:.0f} MB, peak {ratio:.2f} of it")
    assert ratio <= (1.6 if tier == "int8" else 1.3)
