"""Adapters merge as the programs that trained them do: against Hugging Face peft itself where it has the
kind, else against the formula written a second time, entry by entry."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import AdapterMismatch, EngineError, InvalidRequest, UnsupportedFormat, WeightsCorrupt
from engine.weights.adapters import check_adapter, merged, read_adapter
from engine.weights.archive import open_archive
from engine.weights.export import convert
from tests.engine import tiny
from tests.engine.test_export import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor


TARGETS = ("receptance", "key", "value", "output")
KEY = "blocks.0.att.key.weight"


class Model(torch.nn.Module):
    """The linear layers of a checkpoint under their official names, for peft."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.config = {"model_type": "rwkv", "tie_word_embeddings": False}
        for name in targets(tensors):
            *path, last = name.removesuffix(".weight").split(".")
            home: torch.nn.Module = self
            for part in path:
                if not hasattr(home, part):
                    setattr(home, part, torch.nn.Module())
                home = getattr(home, part)
            layer = torch.nn.Linear(*reversed(tensors[name].shape), bias=False)
            layer.weight.data = tensors[name].clone()
            setattr(home, last, layer)


def targets(tensors: dict[str, Tensor]) -> list[str]:
    return [name for name in tensors if name.endswith(tuple(f".{t}.weight" for t in TARGETS))]


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def peft_folder(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def peft_adapter(folder: Path, tensors: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    """Writes a random adapter with peft; returns the weights that peft merges."""
    import peft  # pyright: ignore[reportMissingImports]  not a dependency

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(Model(tensors), config)  # pyright: ignore[reportArgumentType]  any module will do
        for name, x in model.named_parameters():
            if x.requires_grad:
                x.data = 0.3 * random(*x.shape) + len(name) % 3 * 0.1
        model.save_pretrained(folder)
        merged_model = model.merge_and_unload()
    return {name: x.detach() for name, x in merged_model.state_dict().items()}


def peft_configs() -> dict[str, Callable[[], Any]]:
    def lora(**options: Any) -> Any:
        from peft import LoraConfig  # pyright: ignore[reportMissingImports]

        return LoraConfig(r=4, lora_alpha=6, target_modules=list(TARGETS), **options)

    def miss(**options: Any) -> Any:
        from peft import MissConfig  # pyright: ignore[reportMissingImports]

        return MissConfig(target_modules=list(TARGETS), **options)

    return {
        "lora": lora,
        "rslora": lambda: lora(use_rslora=True),
        "patterns": lambda: lora(rank_pattern={"ffn.key": 2}, alpha_pattern={"ffn.key": 9}),
        "miss": lambda: miss(r=8),
        "miss with a rest": lambda: miss(r=6),
        "mini": lambda: miss(r=8, mini_r=4, init_weights="mini"),
        "bat": lambda: miss(r=8, init_weights="bat"),
    }


@pytest.mark.parametrize("kind", peft_configs())
def test_peft_merges_the_same(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft comes with make test-long; every formula is tested below too")
    spec, tensors = tiny.spec(), tiny.tensors(tiny.spec())
    expected = peft_adapter(tmp_path, tensors, peft_configs()[kind]())
    adapter = read_adapter(tmp_path)
    check_adapter(adapter, spec)
    assert set(adapter.parts) == set(targets(tensors))
    for name, x in tensors.items():
        found = merged(name, x, adapter)
        if name in adapter.parts:
            assert not torch.equal(expected[name], x)
            torch.testing.assert_close(found, expected[name], rtol=1e-5, atol=1e-5)
        else:
            assert found is x


# ------------------------------------------------------------------------------------- RWKV-PEFT's own files


def loops(w: Tensor, entry: Callable[[int, int], Tensor]) -> Tensor:
    """The merged weight, entry by entry."""
    out, width = w.shape
    return torch.stack([torch.stack([entry(o, i) for i in range(width)]) for o in range(out)])


def flat_lora(w: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    a, b = random(3, w.shape[1]), random(w.shape[0], 3)
    expected = loops(w, lambda o, i: w[o, i] + 5 / 3 * sum(b[o, k] * a[k, i] for k in range(3)))
    return {".lora_A": a, ".lora_B": b}, expected


def web_rwkv_lora(w: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    parts, expected = flat_lora(w)
    return {".lora.0": parts[".lora_A"].T.contiguous(), ".lora.1": parts[".lora_B"]}, expected


def disha(w: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    e = random(6, w.shape[0])
    return {".disha": e}, loops(w, lambda o, i: w[o, i] + e[i % 6, o])


def bat(w: Tensor, blocks: int, block: Callable[[int, int], int]) -> tuple[Tensor, Tensor]:
    """E and the merged weight; `block` says which of E's matrices belongs to an entry."""
    e, r = random(blocks, 8, 8) * 0.2, 8

    def entry(o: int, i: int) -> Tensor:
        row = w[o, i // r * r : i // r * r + r]  # of the block
        return w[o, i] + row @ e[block(o, i)][:, i % r] + e[block(o, i)][o % r, i % r]

    return e, loops(w, entry)


def bone_bat(w: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    e, expected = bat(w, w.shape[1] // 8, lambda _, i: i // 8)
    return {".bone": e}, expected


def peft_bat(w: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    e, expected = bat(w, w.shape[0] // 8, lambda o, _: o // 8)
    return {".miss_block": e}, expected


FLAT = {
    "lora_A": flat_lora,
    "lora.0": web_rwkv_lora,
    "disha": disha,
    "bone": bone_bat,
    "miss_block": peft_bat,
}


@pytest.mark.parametrize("ending", FLAT)
@pytest.mark.parametrize("name", [KEY, "blocks.1.ffn.value.weight"])
def test_flat_files(ending: str, name: str, tmp_path: Path) -> None:
    """With a trained norm beside, which takes the place of the model's."""
    tensors = tiny.tensors(tiny.spec())
    parts, expected = FLAT[ending](tensors[name])
    module = name.removesuffix(".weight")
    content = {module + end: x for end, x in parts.items()} | {"blocks.1.ln1.bias": random(32)}
    path = tmp_path / "rwkv-0.pth"
    torch.save(content, path)
    adapter = read_adapter(path)
    check_adapter(adapter, tiny.spec(), alpha=5)
    found = merged(name, tensors[name], adapter, alpha=5)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(merged("blocks.1.ln1.bias", tensors["blocks.1.ln1.bias"], adapter), random(32))
    assert merged("blocks.1.att.key.weight", tensors[KEY], adapter) is tensors[KEY]


def test_pissa_takes_the_first_factors_away(tmp_path: Path) -> None:
    """As RWKV-PEFT splits a weight: before training the merged weight is the weight."""
    w = tiny.tensors(tiny.spec())[KEY]
    u, s, vh = torch.linalg.svd(w)
    b0, a0 = u[:, :4] * s[:4].sqrt(), s[:4].sqrt()[:, None] * vh[:4]
    module = KEY.removesuffix(".weight")
    torch.save(
        {f"model.{module}.init_lora_A": a0, f"model.{module}.init_lora_B": b0}, tmp_path / "init_pissa.pth"
    )
    torch.save({f"{module}.lora_A": a0, f"{module}.lora_B": b0}, tmp_path / "untrained.pth")
    untrained = read_adapter(tmp_path / "untrained.pth")
    assert untrained.kind == "pissa"
    torch.testing.assert_close(merged(KEY, w, untrained), w, rtol=1e-5, atol=1e-5)
    a, b = a0 + 0.1 * random(*a0.shape), b0 - 0.1 * random(*b0.shape)
    torch.save({f"{module}.lora_A": a, f"{module}.lora_B": b}, tmp_path / "trained.pth")
    expected = (w.double() - b0.double() @ a0.double() + b.double() @ a.double()).float()
    found = merged(KEY, w, read_adapter(tmp_path / "trained.pth"))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_names_of_flash_linear_attention(tmp_path: Path) -> None:
    w = tiny.tensors(tiny.spec())[KEY]
    parts, expected = flat_lora(w)
    module = "base_model.model.model.layers.0.attn.k_proj"
    save_file(
        {f"{module}{end}.weight": x for end, x in parts.items()}, tmp_path / "adapter_model.safetensors"
    )
    config = {"peft_type": "LORA", "r": 3, "lora_alpha": 5}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    torch.testing.assert_close(merged(KEY, w, read_adapter(tmp_path)), expected, rtol=1e-4, atol=1e-5)


def test_a_small_miss_repeats_along_the_rows(tmp_path: Path) -> None:
    w, e = tiny.tensors(tiny.spec())[KEY], random(6, 4)
    config = {"peft_type": "MISS", "init_weights": "mini", "mini_r": 4}
    peft_folder(tmp_path, config, {"base_model.model.blocks.0.att.key.miss_block": e})
    expected = loops(w, lambda o, i: w[o, i] + e[i % 6, o % 4])
    adapter = read_adapter(tmp_path)
    check_adapter(adapter, tiny.spec())
    torch.testing.assert_close(merged(KEY, w, adapter), expected, rtol=1e-5, atol=1e-5)


# ----------------------------------------------------------------------------------------- while converting


@pytest.mark.parametrize("format_", ["pth", "safetensors"])
def test_convert_merges_and_rounds_once(format_: str, tmp_path: Path) -> None:
    spec, tensors = tiny.spec(), tiny.tensors(tiny.spec())
    source = tiny.save(tmp_path / "a.pth", tensors, torch.bfloat16)
    parts, _ = flat_lora(tensors[KEY])
    torch.save({KEY.removesuffix(".weight") + end: x for end, x in parts.items()}, tmp_path / "l.pth")
    target = tmp_path / "b"
    run(convert(source, target, format_, adapter=tmp_path / "l.pth", alpha=5))
    archive = open_archive(target)
    base = tensors[KEY].bfloat16().double()
    exact = base + 5 / 3 * parts[".lora_B"].double() @ parts[".lora_A"].double()
    assert archive.get(KEY).dtype == torch.bfloat16
    torch.testing.assert_close(archive.get(KEY).double(), exact, rtol=2**-8, atol=1e-6)
    for name in archive.shapes.keys() - {KEY}:
        assert torch.equal(archive.get(name), tensors[name].bfloat16()), name
    assert spec.n_layer == 2


def adapter_of(tmp_path: Path, content: dict[str, Tensor]) -> Path:
    path = tmp_path / "adapter.pth"
    torch.save(content, path)
    return path


def test_a_lora_without_alpha_must_be_told_it(tmp_path: Path) -> None:
    parts, _ = flat_lora(tiny.tensors(tiny.spec())[KEY])
    path = adapter_of(tmp_path, {KEY.removesuffix(".weight") + end: x for end, x in parts.items()})
    source = tiny.checkpoint(tmp_path / "a.pth")
    with pytest.raises(InvalidRequest, match="alpha"):
        run(convert(source, tmp_path / "b.pth", "pth", adapter=path))
    assert not (tmp_path / "b.pth").exists()


# ------------------------------------------------------------------------------------------ what does not fit

MODULE = "blocks.0.att.key"
WRONG_SHAPES: dict[str, dict[str, Tensor]] = {
    "no such weight": {"blocks.7.att.key.disha": torch.ones(4, 32)},
    "a vector": {"blocks.0.ln1.disha": torch.ones(4, 32)},
    "another width": {f"{MODULE}.lora_A": torch.ones(4, 31), f"{MODULE}.lora_B": torch.ones(32, 4)},
    "two ranks": {f"{MODULE}.lora_A": torch.ones(4, 32), f"{MODULE}.lora_B": torch.ones(32, 5)},
    "rank 0": {f"{MODULE}.lora_A": torch.ones(0, 32), f"{MODULE}.lora_B": torch.ones(32, 0)},
    "a rank above the width": {f"{MODULE}.disha": torch.ones(64, 32)},
    "mini without saying so": {f"{MODULE}.disha": torch.ones(4, 16)},
    "blocks that do not divide": {f"{MODULE}.disha": torch.ones(4, 7, 7)},
    "blocks of two sizes": {f"{MODULE}.disha": torch.ones(4, 8, 4)},
    "empty blocks": {f"{MODULE}.disha": torch.ones(4, 0, 0)},
    "another norm": {f"{MODULE}.disha": torch.ones(4, 32), "blocks.0.ln1.bias": torch.ones(31)},
    "an unknown tensor": {f"{MODULE}.disha": torch.ones(4, 32), "blocks.0.att.other": torch.ones(3)},
}


@pytest.mark.parametrize("case", WRONG_SHAPES)
def test_an_adapter_of_another_model(case: str, tmp_path: Path) -> None:
    adapter = read_adapter(adapter_of(tmp_path, WRONG_SHAPES[case]))
    with pytest.raises(AdapterMismatch):
        check_adapter(adapter, tiny.spec(), alpha=1)


WRONG_FILES: dict[str, dict[str, Tensor]] = {
    "half a pair": {f"{MODULE}.lora_A": torch.ones(4, 32)},
    "two kinds": {f"{MODULE}.disha": torch.ones(4, 32), "blocks.1.att.key.bone": torch.ones(4, 8, 8)},
    "only norms": {"blocks.0.ln1.bias": torch.ones(32)},
    "only the first factors": {f"{MODULE}.init_lora_A": torch.ones(4, 32)},
    "one dimension": {f"{MODULE}.disha": torch.ones(4)},
    "no dimension": {f"{MODULE}.lora_A": torch.tensor(1.0), f"{MODULE}.lora_B": torch.tensor(1.0)},
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_file_that_is_no_adapter(case: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat) as error:
        read_adapter(adapter_of(tmp_path, WRONG_FILES[case]))
    assert error.value.hint == "adapter-kind"


def test_twice_the_same_matrix(tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt):
        read_adapter(
            adapter_of(tmp_path, {f"{MODULE}.lora_A": torch.ones(2), f"{MODULE}.lora.0": torch.ones(2)})
        )


def test_numbers_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt):
        read_adapter(adapter_of(tmp_path, {f"{MODULE}.disha": torch.full((4, 32), float("nan"))}))


CONFIGS = {
    "{": WeightsCorrupt,
    "[]": UnsupportedFormat,
    "{}": UnsupportedFormat,
    '{"peft_type": "LOHA"}': UnsupportedFormat,
    '{"peft_type": ["LORA"]}': EngineError,
    '{"peft_type": "LORA"}': WeightsCorrupt,  # no alpha
    '{"peft_type": "LORA", "lora_alpha": "8"}': WeightsCorrupt,
    '{"peft_type": "LORA", "lora_alpha": NaN}': WeightsCorrupt,
    '{"peft_type": "LORA", "lora_alpha": 1e308}': WeightsCorrupt,
    '{"peft_type": "LORA", "lora_alpha": 1' + 4000 * "0" + "}": WeightsCorrupt,
    '{"peft_type": "LORA", "lora_alpha": true}': WeightsCorrupt,
    '{"peft_type": "LORA", "lora_alpha": 8, "use_dora": true}': UnsupportedFormat,
    '{"peft_type": "LORA", "lora_alpha": 8, "init_lora_weights": "pissa_niter_4"}': UnsupportedFormat,
    '{"peft_type": "LORA", "lora_alpha": 8, "alpha_pattern": ["a"]}': WeightsCorrupt,
    '{"peft_type": "LORA", "lora_alpha": 8, "alpha_pattern": {"a": "b"}}': WeightsCorrupt,
    "[" * 9999: WeightsCorrupt,
}


@pytest.mark.parametrize("text", CONFIGS, ids=range(len(CONFIGS)))
def test_hostile_configs(text: str, tmp_path: Path) -> None:
    parts, _ = flat_lora(tiny.tensors(tiny.spec())[KEY])
    save_file({f"{MODULE}{end}": x for end, x in parts.items()}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(CONFIGS[text]):
        read_adapter(tmp_path)


def test_folders_without_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        read_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 8}')
    with pytest.raises(EngineError):
        read_adapter(tmp_path)
    with pytest.raises(EngineError):
        read_adapter(tmp_path / "none.pth")
