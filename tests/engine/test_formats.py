"""Other programs' names and orientations become the official ones; what does not fit is a typed error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import EngineError, ModelNotFound, UnsupportedFormat, WeightsCorrupt
from engine.models.names import expected_shapes
from engine.models.state import relative_difference
from engine.weights.archive import open_archive
from engine.weights.load import read_spec
from tests.engine import samples, tiny
from tests.engine.test_load import logits, run

if TYPE_CHECKING:
    from pathlib import Path

CASES = [(name, arch) for name in samples.SAMPLES for arch in samples.versions(name)]


def assert_same_model(path: Path, arch: str) -> None:
    """Every tensor that counts is the official one, bit for bit, in the official orientation."""
    spec, archive = tiny.spec(arch=arch), open_archive(path)
    assert read_spec(path) == spec
    official = tiny.plain_tensors(spec, samples.SEED)
    for name, shape in expected_shapes(spec).items():
        assert torch.equal(archive.get(name).reshape(shape), official[name]), name


@pytest.mark.parametrize(("name", "arch"), CASES)
def test_every_format_gives_the_official_tensors(name: str, arch: str, tmp_path: Path) -> None:
    assert_same_model(samples.SAMPLES[name](tmp_path, tiny.spec(arch=arch)), arch)


@pytest.mark.parametrize(("name", "arch"), CASES)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_every_format_loads_as_the_same_model(name: str, arch: str, dtype: str, tmp_path: Path) -> None:
    """Quantised formats have samples of their own numbers; all others give the official file's logits."""
    folder = tmp_path / "sample"
    folder.mkdir()
    path = samples.SAMPLES[name](folder, tiny.spec(arch=arch))
    official = samples.make_pth(tmp_path, tiny.spec(arch=arch))
    found, expected = (run(each, dtype=dtype) for each in (path, official))
    assert torch.equal(logits(found), logits(expected))


@pytest.mark.parametrize("prefix", ["model.", "rwkv7."])
def test_every_prefix_of_the_native_layout(prefix: str, tmp_path: Path) -> None:
    official = tiny.tensors(tiny.spec(), samples.SEED)
    made = {name if name == "head.weight" else prefix + name: x for name, x in official.items()}
    assert_same_model(samples.write_folder(tmp_path, made, {}), "rwkv7")


def test_rwkv7_under_the_part_names_of_rwkv4(tmp_path: Path) -> None:
    made = samples.transformers_tensors(tiny.tensors(tiny.spec(), samples.SEED), "rwkv7.")
    assert_same_model(samples.write_folder(tmp_path, made, {}), "rwkv7")


def test_the_older_fla_layout_with_one_tensor_of_six_rows(tmp_path: Path) -> None:
    made = samples.fla_tensors(tiny.tensors(tiny.spec(), samples.SEED))
    for layer in range(2):
        rows = [made.pop(f"model.layers.{layer}.attn.x_{m}").reshape(-1) for m in "rwkvag"]
        made[f"model.layers.{layer}.attn.x_x"] = torch.stack(rows)
    assert_same_model(samples.write_folder(tmp_path, made, {}), "rwkv7")


def test_a_folder_of_torch_files(tmp_path: Path) -> None:
    made = samples.transformers_tensors(tiny.tensors(tiny.spec(arch="rwkv4"), samples.SEED))
    torch.save(made, tmp_path / "pytorch_model.bin")
    assert_same_model(tmp_path, "rwkv4")


def test_torch_shards_with_an_index(tmp_path: Path) -> None:
    made = samples.transformers_tensors(tiny.tensors(tiny.spec(arch="rwkv6"), samples.SEED))
    names = sorted(made)
    homes = {name: f"pytorch_model-{i % 2 + 1}-of-2.bin" for i, name in enumerate(names)}
    for file in set(homes.values()):
        torch.save({name: made[name] for name in names if homes[name] == file}, tmp_path / file)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": homes}))
    assert_same_model(tmp_path, "rwkv6")
    assert {file.name for file in open_archive(tmp_path).files} == {
        "pytorch_model-1-of-2.bin",
        "pytorch_model-2-of-2.bin",
        "pytorch_model.bin.index.json",
    }


def test_one_file_whatever_its_name_beside_a_config(tmp_path: Path) -> None:
    save_file(tiny.tensors(tiny.spec(), samples.SEED), tmp_path / "rwkv7-g1.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert_same_model(tmp_path, "rwkv7")


def test_an_older_web_rwkv_file_that_turned_less(tmp_path: Path) -> None:
    """Copies of the conversion script differ in what they turn; the shape tells."""
    spec = tiny.spec(arch="rwkv6")
    made = samples.web_rwkv_tensors(tiny.tensors(spec, samples.SEED))
    for name in [name for name in made if "time_mix_w" in name and made[name].ndim > 1]:
        made[name] = made[name].transpose(-1, -2).contiguous()
    assert_same_model(tiny.save(tmp_path / "old.st", made), "rwkv6")


def test_what_lies_beside_the_weights_is_noted(tmp_path: Path) -> None:
    path = samples.make_hf_native(tmp_path, tiny.spec())
    (path / "rwkv_vocab_v20230424.txt").write_text("")
    assert open_archive(path).notes == {"tokenizer": str(path / "rwkv_vocab_v20230424.txt")}


def test_what_transformers_saves_is_what_transformers_computes(tmp_path: Path) -> None:
    """Eight layers: its rescaling of the residual stream begins with the seventh, in memory alone."""
    transformers = pytest.importorskip("transformers", reason="transformers comes with make test-long")
    torch.manual_seed(0)
    config = transformers.RwkvConfig(vocab_size=96, hidden_size=32, num_hidden_layers=8, context_length=64)
    theirs = transformers.RwkvForCausalLM(config)
    with torch.no_grad():
        for name, x in theirs.named_parameters():
            x.copy_(torch.randn(x.shape) * (0.3 if x.ndim < 2 else 1.2 / x.shape[-1] ** 0.5))
            if "ln" in name and name.endswith("weight"):
                x.add_(1)
            if "time_mix" in name or "time_decay" in name:
                x.uniform_(0, 1)
    theirs.save_pretrained(tmp_path)
    tokens = torch.randint(0, 96, (1, 20))
    with torch.no_grad():
        expected = theirs.eval()(tokens).logits
    ours = run(tmp_path, dtype="fp32")
    found, _ = ours.forward(tokens, ours.zero_state(), all_logits=True)
    assert open_archive(tmp_path).format == "hf-rwkv4"
    assert relative_difference(found, expected) < 1e-5


# -------------------------------------------------------------------------------------- folders gone wrong


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    path = samples.make_hf_fla(tmp_path, tiny.spec())
    (path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelNotFound) as error:
        read_spec(path)
    assert error.value.path.endswith("model-00002-of-00003.safetensors")


@pytest.mark.parametrize("file", ["../outside.safetensors", "/etc/passwd", "..", "a\\b", "", 3, None])
def test_an_index_names_only_files_of_its_folder(file: object, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    tiny.checkpoint(tmp_path / "outside.safetensors")
    index = {"weight_map": {"emb.weight": file}}
    (inner / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsCorrupt):
        read_spec(inner)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "{}", '{"weight_map": {}}', '{"weight_map": []}', "[" * 9999]
)
def test_an_index_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(WeightsCorrupt):
        read_spec(tmp_path)


def test_an_index_with_a_name_that_no_disk_takes(tmp_path: Path) -> None:
    index = {"weight_map": {"emb.weight": "x" * 5000}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EngineError):
        read_spec(tmp_path)


def test_an_index_that_is_wrong_about_a_tensor(tmp_path: Path) -> None:
    path = samples.make_folder(tmp_path, tiny.spec())
    index = json.loads((path / "model.safetensors.index.json").read_text())
    homes = index["weight_map"]
    homes["emb.weight"] = next(file for file in homes.values() if file != homes["emb.weight"])
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsCorrupt) as error:
        read_spec(path)
    assert error.value.where == "emb.weight"


def test_a_folder_of_several_models_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    for name in ("a", "b"):
        tiny.checkpoint(tmp_path / f"{name}.safetensors")
    with pytest.raises(UnsupportedFormat) as error:
        read_spec(tmp_path)
    assert error.value.hint == "several-models"


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelNotFound):
        read_spec(tmp_path)


def test_two_names_for_one_tensor(tmp_path: Path) -> None:
    made = samples.fla_tensors(tiny.tensors(tiny.spec()))
    made["model.layers.0.att.k_k"] = torch.ones(32)
    with pytest.raises(WeightsCorrupt):
        read_spec(samples.write_folder(tmp_path, made, {}))


def test_a_tensor_of_no_model_is_named(tmp_path: Path) -> None:
    made = samples.fla_tensors(tiny.tensors(tiny.spec())) | {"model.layers.0.attn.extra": torch.ones(3)}
    with pytest.raises(WeightsCorrupt) as error:
        read_spec(samples.write_folder(tmp_path, made, {}))
    assert "extra" in error.value.where


@pytest.mark.parametrize("name", ["model.layers.0.attn.w_lora.lora.0.weight", "model.layers.1.attn.x_x"])
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 32)])
def test_misshaped_tensors_that_are_to_be_turned_or_cut(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    made = samples.fla_tensors(tiny.tensors(tiny.spec())) | {name: torch.ones(shape)}
    with pytest.raises(EngineError):
        read_spec(samples.write_folder(tmp_path, made, {}))


@pytest.mark.parametrize("shape", [(), (0,), (32,), (1, 2, 32)])
@pytest.mark.parametrize("arch", ["rwkv5.2", "rwkv6", "rwkv7"])
def test_an_embedding_of_any_shape_in_a_web_rwkv_file(
    arch: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    made = samples.web_rwkv_tensors(tiny.tensors(tiny.spec(arch=arch)))
    with pytest.raises(EngineError):
        read_spec(tiny.save(tmp_path / "model.st", made | {"emb.weight": torch.ones(shape)}))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_the_stored_types_are_those_of_the_tensors(suffix: str, dtype: torch.dtype, tmp_path: Path) -> None:
    made = tiny.tensors(tiny.spec(), samples.SEED)
    archive = open_archive(tiny.save(tmp_path / f"a.{suffix}", made, dtype))
    name = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}[dtype]
    assert archive.types == {name: len(made)}
    assert {archive.get(each).dtype for each in archive.shapes} == {dtype}


HEADERS = """
import sys
from pathlib import Path
from engine.weights.archive import open_archive
from engine.weights.recognise import recognise
for each in sys.argv[1:]:
    archive = open_archive(Path(each))
    recognise(each, archive.shapes)
    print(sum(archive.types.values()))
print("torch" in sys.modules)
"""


def test_headers_of_every_format_are_read_without_torch(tmp_path: Path) -> None:
    """The interface reads them, and torch's import would hold up typing there."""
    paths = []
    for name, make in samples.SAMPLES.items():
        (tmp_path / name).mkdir()
        paths.append(make(tmp_path / name, samples.spec_of(name)))
    done = subprocess.run(
        [sys.executable, "-c", HEADERS, *map(str, paths)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    *counts, torch_loaded = done.stdout.split()
    assert [int(each) > 30 for each in counts] == [True] * len(paths)
    assert torch_loaded == "False"
