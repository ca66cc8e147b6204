"""Tuned states in every form: read as they were trained. Swapped axes are no error anywhere, so each form is
proven by training: the loss with the state that was read is the trained one's, with swapped axes it is not.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F  # noqa: N812  the field's custom

from engine.errors import FileInTheWay, InvalidRequest, TunedStateMismatch, UnsupportedFormat, WeightsCorrupt
from engine.models import ARCHITECTURES
from engine.models.state import State, relative_difference
from engine.weights.archive import open_archive
from engine.weights.export import WRITERS, convert
from engine.weights.export_tuned import convert_tuned_state, write_tuned_state
from engine.weights.kinds import kind_of
from engine.weights.load import read_spec
from engine.weights.tuned import TUNED_FORMATS, begun_from, merged_state, read_tuned_state
from tests.engine import samples, tiny
from tests.engine.rwkv_package import Job, references
from tests.engine.test_export import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from engine.types import ModelSpec

TUNABLE = ("rwkv5.0", "rwkv5.1", "rwkv5.2", "rwkv6", "rwkv7")
STEPS = 25


def tokens() -> Tensor:
    return torch.randint(1, 96, (2, 12), generator=torch.Generator().manual_seed(3))


def loss(arch: str, wkv: Tensor) -> Tensor:
    """Of a random model that begins with this state [L,H,V,K] and reads `tokens`."""
    model = ARCHITECTURES[arch](tiny.spec(arch=arch), tiny.plain_tensors(tiny.spec(arch=arch)))
    zero = model.zero_state(2)
    state = State(zero.arch, zero.tensors | {"wkv_BLHVK": wkv.expand(2, *wkv.shape)})
    logits, _ = model.forward(tokens()[:, :-1], state, all_logits=True)
    return F.cross_entropy(logits.flatten(0, 1), tokens()[:, 1:].flatten())


@cache
def trained(arch: str) -> Tensor:
    """A state [L,H,V,K] that lowers the loss on `tokens`; the weights stay as they are."""
    wkv = torch.zeros(2, 2, 16, 16, requires_grad=True)
    optimizer = torch.optim.Adam([wkv], lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(arch, wkv).backward()
        optimizer.step()
    return wkv.detach()


def by_layer(wkv: Tensor) -> dict[int, Tensor]:
    return dict(enumerate(wkv.unbind(0)))


def losses(arch: str, wkv: Tensor) -> tuple[float, float, float]:
    """From zeros, with the state, with the state's axes swapped."""
    with torch.no_grad():
        zero, right, swapped = (loss(arch, x) for x in (torch.zeros_like(wkv), wkv, wkv.mT))
    return float(zero), float(right), float(swapped)


@pytest.mark.parametrize("arch", TUNABLE)
@pytest.mark.parametrize("form", TUNED_FORMATS)
def test_a_trained_state_that_is_read_again_is_the_trained_one(form: str, arch: str, tmp_path: Path) -> None:
    path = tmp_path / f"state{TUNED_FORMATS[form].suffix}"
    write_tuned_state(path, by_layer(trained(arch)), form)
    read = torch.stack(list(read_tuned_state(path, tiny.spec(arch=arch)).values()))
    before, right, swapped = losses(arch, read)
    assert right < before - 0.3
    assert swapped > right + 0.3
    assert abs(right - losses(arch, trained(arch))[1]) < 0.02  # what bf16 rounds away
    assert kind_of(path) == "tuned-state"


@pytest.mark.parametrize("arch", TUNABLE)
def test_a_file_with_the_wrong_axes_is_told_from_a_right_one_by_its_loss(arch: str, tmp_path: Path) -> None:
    """Each form's own axes, written by hand: what the trainers' files have, and its mirror image."""
    state = {f"blocks.{layer}.att.time_state": x.contiguous() for layer, x in by_layer(trained(arch)).items()}
    torch.save(state, tmp_path / "peft.pth")
    torch.save({name: x.mT.contiguous() for name, x in state.items()}, tmp_path / "swapped.pth")
    save_file({name: x.mT.contiguous() for name, x in state.items()}, tmp_path / "ai00.st")
    save_file(state, tmp_path / "swapped.st")
    found = {}
    for path in tmp_path.iterdir():
        read = torch.stack(list(read_tuned_state(path, tiny.spec(arch=arch)).values()))
        found[path.name] = losses(arch, read)[1]
    right = losses(arch, trained(arch))[1]
    assert found["peft.pth"] == found["ai00.st"] == pytest.approx(right, abs=1e-5)
    assert min(found["swapped.pth"], found["swapped.st"]) > right + 0.3


def test_the_rwkv_package_begins_from_the_same_state(tmp_path: Path) -> None:
    """It takes a state that is merged into an RWKV-5 or 6, and has the last word on which axis is which."""
    specs = {arch: tiny.spec(arch=arch, head_size=64, n_embd=128) for arch in ("rwkv5.2", "rwkv6")}
    states = {arch: random_state(spec) for arch, spec in specs.items()}
    paths = {arch: tmp_path / f"{arch}.pth" for arch in specs}
    for arch, spec in specs.items():
        write_tuned_state(tmp_path / f"{arch}-state.pth", states[arch])
        source = tiny.checkpoint(tmp_path / f"{arch}-plain.pth", spec)
        run(convert(source, paths[arch], "pth", tuned=tmp_path / f"{arch}-state.pth"))
    ids = [1, 5, 95, 0, 7]
    said = references([Job(path, ids, (5,)) for path in paths.values()], v7=False)
    for (arch, spec), theirs in zip(specs.items(), said, strict=True):
        model = ARCHITECTURES[arch](spec, tiny.plain_tensors(spec))
        found = []
        for state in (states[arch], {layer: x.mT for layer, x in states[arch].items()}):
            begun = begun_from(state, model.zero_state(1))
            logits, _ = model.forward(torch.tensor([ids]), begun, all_logits=True)
            found.append(relative_difference(logits[0], theirs.logits))
        right, swapped = found
        assert right < 1e-5 < 0.1 < swapped


def random_state(spec: ModelSpec) -> dict[int, Tensor]:
    """Numbers that bf16 and fp16 have exactly."""
    N = spec.head_size
    x = torch.randint(-64, 64, (spec.n_layer, spec.n_head, N, N)) / 16
    return by_layer(x)


@pytest.mark.parametrize("form", TUNED_FORMATS)
def test_round_trip(form: str, tmp_path: Path) -> None:
    spec = tiny.spec()
    state = random_state(spec)
    path = tmp_path / "state"
    write_tuned_state(path, state, form)
    read = read_tuned_state(path, spec)
    assert read.keys() == state.keys()
    assert all(
        torch.equal(read[layer], x) and read[layer].dtype == torch.float32 for layer, x in state.items()
    )
    with pytest.raises(FileInTheWay):
        write_tuned_state(path, state, form)
    write_tuned_state(path, state, form, overwrite=True)


@pytest.mark.parametrize("form", TUNED_FORMATS)
@pytest.mark.parametrize("other", TUNED_FORMATS)
def test_from_one_form_to_another(form: str, other: str, tmp_path: Path) -> None:
    """Without any model at hand."""
    state = random_state(tiny.spec())
    write_tuned_state(tmp_path / "a", state, form)
    convert_tuned_state(tmp_path / "a", tmp_path / "b", other)
    read = read_tuned_state(tmp_path / "b", tiny.spec())
    assert all(torch.equal(read[layer], x) for layer, x in state.items())


def test_what_is_converted_is_a_state(tmp_path: Path) -> None:
    torch.save({"blocks.0.att.time_state": torch.ones(3, 4)}, tmp_path / "a")
    with pytest.raises(WeightsCorrupt):
        convert_tuned_state(tmp_path / "a", tmp_path / "b", "fla")
    with pytest.raises(UnsupportedFormat):
        convert_tuned_state(tiny.checkpoint(tmp_path / "m.pth"), tmp_path / "b", "fla")


def test_the_file_is_what_the_trainers_write(tmp_path: Path) -> None:
    """RWKV-Runner checks the count of tensors and shape[0]·shape[1]."""
    state = random_state(tiny.spec())
    write_tuned_state(tmp_path / "s.pth", state, dtype=torch.float32)
    loaded = torch.load(tmp_path / "s.pth", weights_only=True)
    assert list(loaded) == ["blocks.0.att.time_state", "blocks.1.att.time_state"]
    assert all(x.shape[0] * x.shape[1] == 32 and x.dtype == torch.float32 for x in loaded.values())
    assert torch.equal(loaded["blocks.1.att.time_state"], state[1])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".st"])
def test_a_state_merged_into_a_model(suffix: str, tmp_path: Path) -> None:
    """In web-rwkv's file it is turned with the rest."""
    spec, state = tiny.spec(), random_state(tiny.spec())
    merged = tiny.tensors(spec) | {f"blocks.{i}.att.time_state": x.clone() for i, x in state.items()}
    if suffix == ".st":
        merged = samples.web_rwkv_tensors(merged)
        for i in state:
            merged[f"blocks.{i}.att.time_state"] = merged[f"blocks.{i}.att.time_state"].mT.contiguous()
    path = tiny.save(tmp_path / f"model{suffix}", merged)
    read = read_tuned_state(path, spec)
    assert all(torch.equal(read[layer], x) for layer, x in state.items())


@pytest.mark.parametrize("format_", [name for name, writer in WRITERS.items() if writer.states])
@pytest.mark.parametrize("arch", TUNABLE[2:])
def test_a_state_is_merged_while_converting(format_: str, arch: str, tmp_path: Path) -> None:
    """And stays in the file when that is converted again; the model beside it is the same."""
    spec = tiny.spec(arch=arch)
    state = random_state(spec)
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    write_tuned_state(tmp_path / "s.pth", state)
    run(convert(source, tmp_path / "b", format_, tuned=tmp_path / "s.pth"))
    run(convert(tmp_path / "b", tmp_path / "c.pth", "pth"))
    for path in (tmp_path / "b", tmp_path / "c.pth"):
        assert read_spec(path) == spec
        assert kind_of(path) == "model"
        assert open_archive(path).notes == {"tuned-state": "merged"}
        read = merged_state(path, spec)
        assert all(torch.equal(read[layer], x) for layer, x in state.items())
    assert merged_state(source, spec) == {}
    loaded = torch.load(tmp_path / "c.pth", weights_only=True)
    assert torch.equal(loaded["blocks.1.att.time_state"].float(), state[1])


def test_a_gguf_has_no_place_for_a_state(tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    write_tuned_state(tmp_path / "s.pth", random_state(tiny.spec()))
    with pytest.raises(InvalidRequest):
        run(convert(source, tmp_path / "b.gguf", "gguf", tuned=tmp_path / "s.pth"))


def test_a_merged_state_of_another_size(tmp_path: Path) -> None:
    wrong = tiny.tensors(tiny.spec()) | {"blocks.0.att.time_state": torch.ones(2, 16, 16)}
    path = tiny.save(tmp_path / "a.pth", wrong)
    with pytest.raises(TunedStateMismatch):
        merged_state(path, tiny.spec())


def test_the_form_can_be_said(tmp_path: Path) -> None:
    """For a state that some other program put into a container of another habit."""
    state = random_state(tiny.spec())
    names = {f"blocks.{layer}.att.time_state": x.contiguous() for layer, x in state.items()}
    save_file(names, tmp_path / "unturned.safetensors")
    read = read_tuned_state(tmp_path / "unturned.safetensors", tiny.spec(), "pth")
    assert all(torch.equal(read[layer], x) for layer, x in state.items())


# ----------------------------------------------------------------------------------------- what does not fit


def save(tmp_path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    path = tmp_path / "s.pth"
    torch.save({name: torch.ones(shape) for name, shape in shapes.items()}, path)
    return path


NAMES = [f"blocks.{i}.att.time_state" for i in range(3)]
WRONG = {
    "one layer": {NAMES[0]: (2, 16, 16)},
    "three layers": dict.fromkeys(NAMES, (2, 16, 16)),
    "a gap": {NAMES[0]: (2, 16, 16), NAMES[2]: (2, 16, 16)},
    "more heads": dict.fromkeys(NAMES[:2], (4, 16, 16)),
    "another head size": dict.fromkeys(NAMES[:2], (2, 8, 8)),
    "not square": dict.fromkeys(NAMES[:2], (2, 16, 8)),
    "flat": dict.fromkeys(NAMES[:2], (2 * 16 * 16,)),
    "empty": dict.fromkeys(NAMES[:2], (0, 16, 16)),
    "two rows": dict.fromkeys(NAMES[:2], (2, 2, 16, 16)),
    "one of another size": {NAMES[0]: (2, 16, 16), NAMES[1]: (2, 8, 8)},
}


@pytest.mark.parametrize("case", WRONG)
def test_a_state_of_another_model(case: str, tmp_path: Path) -> None:
    path = save(tmp_path, WRONG[case])
    with pytest.raises(TunedStateMismatch) as error:
        read_tuned_state(path, tiny.spec())
    assert error.value.expected == "2 layers of [2, 16, 16]"
    assert "layers of [" in error.value.found
    assert error.value.path == str(path)


def test_rwkv4_has_no_tuned_states(tmp_path: Path) -> None:
    with pytest.raises(TunedStateMismatch):
        read_tuned_state(save(tmp_path, dict.fromkeys(NAMES[:2], (2, 16, 16))), tiny.spec(arch="rwkv4"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none(value: float, tmp_path: Path) -> None:
    torch.save({name: torch.full((2, 16, 16), value) for name in NAMES[:2]}, tmp_path / "s.pth")
    with pytest.raises(WeightsCorrupt):
        read_tuned_state(tmp_path / "s.pth", tiny.spec())


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat) as error:
        read_tuned_state(save(tmp_path, {"emb": (3,)}), tiny.spec())
    assert error.value.hint == "no-tuned-state"
    shifts: dict[str, tuple[int, ...]] = {f"blocks.{i}.att.ts_state": (32,) for i in range(2)}
    with pytest.raises(UnsupportedFormat) as error:
        read_tuned_state(save(tmp_path, dict.fromkeys(NAMES[:2], (2, 16, 16)) | shifts), tiny.spec())
    assert error.value.hint == "full-state"
    with pytest.raises(InvalidRequest):
        write_tuned_state(tmp_path / "x", {}, "zip")


def test_kinds(tmp_path: Path) -> None:
    for name in samples.SAMPLES:
        folder = tmp_path / name
        folder.mkdir()
        assert kind_of(samples.SAMPLES[name](folder, samples.spec_of(name))) == "model"
    torch.save({"blocks.0.att.key.lora_A": torch.ones(2, 2)}, tmp_path / "lora.pth")
    torch.save({"blocks.0.att.key.disha": torch.ones(2, 2)}, tmp_path / "disha.pth")
    save_file({"blocks.0.att.key.lora.0": torch.ones(2, 2)}, tmp_path / "lora.st")
    for path in ("lora.pth", "disha.pth", "lora.st"):
        assert kind_of(tmp_path / path) == "adapter"
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").write_text("{}")
    assert kind_of(tmp_path / "peft") == "adapter"
