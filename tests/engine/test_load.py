"""Official files in, models out; damaged, hostile and foreign files are typed errors."""

from __future__ import annotations

import json
import random
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from engine.errors import (
    DeviceUnavailable,
    DiskFailed,
    EngineError,
    InvalidRequest,
    ModelNotFound,
    UnsupportedFormat,
    WeightsCorrupt,
)
from engine.models.tiers import TIERS
from engine.types import Progress
from engine.weights.archive import NAMINGS, READERS, open_archive
from engine.weights.export import export_safetensors
from engine.weights.load import load, read_spec
from tests.engine import tiny
from tests.engine.samples import SAMPLES, spec_of

if TYPE_CHECKING:
    from engine.models.rwkv7 import Rwkv7

SUFFIXES = [".pth", ".safetensors"]


def run(path, **options) -> Rwkv7:
    generator = load(path, device="cpu", **options)
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"model{request.param}"


def logits(model: Rwkv7) -> torch.Tensor:
    return model.forward(torch.arange(20)[None], model.zero_state())[0]


# ---------------------------------------------------------------------------------------------- good files


def test_spec_is_read_from_the_shapes(path):
    for spec in (
        tiny.spec(),
        tiny.spec(n_layer=4, n_embd=48, head_size=8, vocab_size=33, rank=4),
        tiny.spec(n_layer=12),
    ):
        assert read_spec(tiny.checkpoint(path, spec)) == spec


@pytest.mark.parametrize("name", SAMPLES)
def test_an_archive_says_what_it_is(name, tmp_path):
    path = SAMPLES[name](tmp_path, spec_of(name))
    archive = open_archive(path)
    assert archive.format == name
    assert all(file.is_file() for file in archive.files)
    assert read_spec(path) == spec_of(name)


def test_every_format_that_is_read_has_a_sample():
    assert set(SAMPLES) == {*READERS, *NAMINGS}


def test_both_formats_and_every_vector_shape_load_the_same(tmp_path):
    made = tiny.tensors(tiny.spec())
    flat = {name: x.reshape(-1) if x.ndim == 3 else x for name, x in made.items()}
    rows = {name: x.reshape(1, -1) if x.ndim == 3 else x for name, x in made.items()}
    without = tiny.tensors(tiny.spec(), with_unused=False)
    reordered = dict(reversed(made.items()))
    files = [made, flat, rows, without, reordered]
    results = [
        logits(run(tiny.save(tmp_path / f"{i}{suffix}", tensors)))
        for i, tensors in enumerate(files)
        for suffix in SUFFIXES
    ]
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_the_name_of_the_file_does_not_decide(tmp_path):
    made = tiny.checkpoint(tmp_path / "a.pth")
    assert read_spec(made.rename(tmp_path / "a.bin")) == tiny.spec()


def test_dtypes(path):
    tiny.checkpoint(path, dtype=torch.bfloat16)
    assert run(path).dtype == torch.float32  # a small model on the CPU
    for tier, dtype in TIERS.items():
        model = run(path, dtype=tier)
        assert (model.dtype, model.tier) == (dtype, tier)
        assert all(x.dtype == dtype for x in model.tensors.values())


def test_progress_rises_to_the_end(path):
    tiny.checkpoint(path)
    told = list(load(path, device="cpu"))
    events = [event for event in told if isinstance(event, Progress)]
    assert events == told
    done = [event.done for event in events]
    assert done == sorted(done)
    assert done[-1] == events[-1].total


def test_stop_is_honoured_at_every_moment(path):
    tiny.checkpoint(path)
    asked = 0

    def never() -> bool:
        nonlocal asked
        asked += 1
        return False

    run(path, should_stop=never)
    for moment in range(asked):
        answers = iter([False] * moment + [True])
        assert run(path, should_stop=lambda answers=answers: next(answers)) is None


def test_the_file_may_change_after_loading(path):
    model = run(tiny.checkpoint(path))
    before = logits(model)
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(logits(model), before)


def test_export_loads_again(tmp_path):
    spec = tiny.spec()
    tensors = tiny.plain_tensors(spec)
    out = tmp_path / "out.safetensors"
    export_safetensors(out, tensors, dtype=torch.float32)
    assert torch.equal(logits(run(out)), logits(run(tiny.checkpoint(tmp_path / "a.pth", spec))))
    export_safetensors(out, tensors)
    assert out.stat().st_size < (tmp_path / "a.pth").stat().st_size * 0.75
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


# ---------------------------------------------------------------------------------------------- wrong files


@pytest.mark.parametrize(
    "name",
    [
        "emb.weight",
        "head.weight",
        "ln_out.bias",
        "blocks.0.ln0.weight",
        "blocks.1.att.v1",
        "blocks.1.ffn.x_k",
    ],
)
def test_a_missing_or_misshaped_tensor_is_named(path, name):
    made = tiny.tensors(tiny.spec())
    without = {key: x for key, x in made.items() if key != name}
    with pytest.raises(WeightsCorrupt) as missing:
        run(tiny.save(path, without))
    assert (missing.value.where, missing.value.found) == (name, "missing")
    shape = (*made[name].shape[:-1], made[name].shape[-1] + 1)
    with pytest.raises(WeightsCorrupt):
        run(tiny.save(path, made | {name: torch.ones(shape)}))


def test_a_misshaped_matrix_is_named(path):
    name = "blocks.1.att.output.weight"
    with pytest.raises(WeightsCorrupt) as error:
        run(tiny.save(path, tiny.tensors(tiny.spec()) | {name: torch.ones(32, 31)}))
    assert (error.value.where, error.value.expected, error.value.found) == (name, "[32, 32]", "[32, 31]")


def test_an_unknown_tensor_is_named(path):
    made = tiny.tensors(tiny.spec()) | {"blocks.0.att.extra": torch.ones(3)}
    with pytest.raises(WeightsCorrupt) as error:
        run(tiny.save(path, made))
    assert error.value.where == "blocks.0.att.extra"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_named(path, value):
    made = tiny.tensors(tiny.spec())
    made["blocks.1.att.key.weight"][3, 4] = value
    with pytest.raises(WeightsCorrupt) as error:
        run(tiny.save(path, made))
    assert error.value.where == "blocks.1.att.key.weight"


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["blocks.0.att.time_state", "blocks.1.att.time_state"], "tuned-state"),
        (["blocks.0.att.key.lora_A", "blocks.0.att.key.lora_B"], "adapter"),
        (["model.embeddings.weight", "model.layers.0.attn.r_k"], "hugging-face"),
        (["model.layers.0.self_attn.r_k", "model.layers.0.mlp.gate_proj.weight"], "hybrid"),
        (["blocks.0.att.key.weight", "blocks.0.att.key.weight_mx"], "converted-for-pip"),
        (["_strategy", "_version", "emb.weight"], "converted-for-pip"),
        (["emb.weight", "blocks.0.att.key.weight", "blocks.0.rosa.q"], "rwkv8"),
        (["emb.weight", "blocks.0.att.r_k", "blocks.0.ffn.s_emb.weight"], "rwkv7a"),
        (["emb.weight", "blocks.0.att.r_k", "blocks.0.ffn.s_emb.weight", "blocks.0.qkv.q"], "rwkv7b"),
        (["lm_head.weight", "transformer.wte"], "not-rwkv"),
    ],
)
def test_other_families_are_recognised(path, names, hint):
    with pytest.raises(UnsupportedFormat) as error:
        read_spec(tiny.save(path, {name: torch.ones(4, 4) for name in names}))
    assert error.value.hint == hint


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"GGUF\x03\0\0\0" + bytes(64), "gguf-other"),
        (b"\x80\x02}q\x00." + bytes(64), "legacy-pickle"),
        (b"<!DOCTYPE html><html>404", "html"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git-lfs-pointer"),
    ],
)
def test_other_files_are_recognised(tmp_path, content, hint):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(UnsupportedFormat) as error:
        read_spec(path)
    assert error.value.hint == hint


@pytest.mark.parametrize("name", ["model.pth.part", "model.incomplete"])
def test_an_unfinished_download_is_not_opened(tmp_path, name):
    """Whatever of it is there: its beginning looks like a whole file's."""
    with pytest.raises(UnsupportedFormat) as error:
        read_spec(tiny.checkpoint(tmp_path / "model.pth").rename(tmp_path / name))
    assert error.value.hint == "unfinished"


def test_no_file(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(ModelNotFound):
            read_spec(path)


def test_no_such_dtype(path):
    tiny.checkpoint(path)
    with pytest.raises(InvalidRequest):
        run(path, dtype="fp8")


def test_no_such_device(path):
    tiny.checkpoint(path)
    for device in ("cuda:99", "nonsense", "meta"):
        with pytest.raises(DeviceUnavailable):
            list(load(path, device=device))


# -------------------------------------------------------------------------------------- damaged and hostile


@pytest.mark.parametrize("keep", [0, 1, 8, 100, 0.5, 0.99, -1])
def test_a_truncated_file_names_the_place(path, keep):
    data = tiny.checkpoint(path).read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(WeightsCorrupt) as error:
        run(path)
    assert error.value.where.startswith("byte ")


def test_a_flipped_weight_in_a_pth_fails_its_checksum(tmp_path):
    path = tiny.checkpoint(tmp_path / "model.pth")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsCorrupt):
        run(path)


class Malicious:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, capsys):
    path = tmp_path / "model.pth"
    torch.save({"emb.weight": Malicious()}, path)
    with pytest.raises(UnsupportedFormat) as error:
        run(path)
    assert error.value.hint == "pickle-with-code"
    assert capsys.readouterr().out == ""


def test_a_compressed_zip_is_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(50_000_000))
    with pytest.raises(WeightsCorrupt) as error:
        run(path)
    assert error.value.where == "bomb/data.pkl"


def test_a_view_larger_than_the_file_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    huge = torch.ones(1).expand(1 << 20, 1 << 20)
    torch.save(tiny.tensors(tiny.spec()) | {"blocks.0.att.k_k": huge}, path)
    with pytest.raises(WeightsCorrupt) as error:
        run(path)
    assert error.value.where == "blocks.0.att.k_k"


@pytest.mark.parametrize("content", [{"state_dict": {"a": 1}}, [torch.ones(2)], {"a": 3}, {}])
def test_other_pickles_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(UnsupportedFormat):
        run(tmp_path / "model.pth")


def header(entries) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"{{{{",
        header({"a": {"dtype": "F32", "shape": [1 << 61, 8], "data_offsets": [0, 16]}}) + bytes(16),
        header({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, -16]}}),
        header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [1 << 61, (1 << 61) + 16]}}),
        header({"a": {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]}}) + bytes(16),
        header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}) + bytes(17),
        header({"a": {"dtype": "F32", "shape": 4, "data_offsets": [0, 16]}}) + bytes(16),
        header({"a": 5}),
        header({"a": {"dtype": ["F32"], "shape": [4], "data_offsets": [0, 16]}}) + bytes(16),
    ],
    ids=range(11),
)
def test_hostile_safetensors_headers(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsCorrupt):
        read_spec(path)


def damage(data: bytes, rng: random.Random) -> bytes:
    """Flips up to four bytes, cuts, or doubles a piece; half of the damage falls where the headers are."""
    changed = bytearray(data)
    kind = rng.randrange(3)
    if kind == 0:
        for _ in range(rng.randint(1, 4)):
            near = rng.choice((2000, len(data)))
            place = rng.randrange(min(near, len(data)))
            changed[place if rng.random() < 0.7 else len(data) - 1 - place] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del changed[rng.randrange(len(data)) :]
    else:
        place = rng.randrange(len(data))
        changed[place:place] = changed[place : place + rng.randint(1, 100)]
    return bytes(changed)


def test_fuzz(path, sample):
    small = tiny.spec(n_layer=1, n_embd=8, head_size=4, vocab_size=5, rank=2)
    data = tiny.checkpoint(path, small).read_bytes()
    intact = run(path).tensors
    rng = random.Random(5)
    for _ in range(sample(f"damaged {path.suffix} files", 150, 5000)):
        path.write_bytes(damage(data, rng))
        try:
            model = run(path)
        except EngineError:
            continue
        assert {n: x.shape for n, x in model.tensors.items()} == {n: x.shape for n, x in intact.items()}
        if path.suffix == ".pth":  # safetensors has no checksums: a value there may differ
            assert all(torch.equal(x, intact[name]) for name, x in model.tensors.items())


def test_a_file_that_may_not_be_read_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a refusal of our own making: a test that runs as root is refused nothing."""
    path = tmp_path / "model.pth"
    path.write_bytes(b"PK")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DiskFailed, match="Permission denied"):
        read_spec(path)
