"""Adapters on a loaded model: what the merged file would be, switched in place, back again, and undone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from safetensors.torch import save_file

from engine import adapting
from engine.errors import AdapterMismatch, FileChanged, ModelNotLoaded, OutOfMemory, Unexpected
from engine.service import Engine
from engine.types import (
    Adapted,
    AdaptRequest,
    Cancelled,
    Failed,
    Finished,
    GenerateRequest,
    Loaded,
    Progress,
    SamplingParams,
)
from engine.weights import adapt as weights
from engine.weights import reading
from engine.weights.adapt import Change, Changing
from engine.weights.adapters import check_adapter, merged, read_adapter
from engine.weights.archive import open_archive
from engine.weights.load import load
from engine.weights.reading import Reading
from tests.engine import tiny
from tests.engine.small import NO_STOP, ask, engine_on

if TYPE_CHECKING:
    from engine.models.model import Model
    from engine.types import LoadRequest

SPEC = tiny.spec(2, 64, 16, 300, 8)
ATT, FFN, HEAD = "blocks.0.att.key", "blocks.1.ffn.value", "head"
TIERS = ["fp32", "bf16", "fp16", "int8", "int4-rows", "int8-g64", "int4-g32"]


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.2


def lora(path: Path, seed: int = 1) -> Path:
    """RWKV-PEFT's old form: matrices of two modules, and a norm and a mixing vector that were trained."""
    made: dict[str, torch.Tensor] = {}
    for module, (out, width) in {ATT: (64, 64), FFN: (64, 256)}.items():
        made[f"{module}.lora_A"] = random(4, width, seed=seed)
        made[f"{module}.lora_B"] = random(out, 4, seed=seed)
    made["blocks.1.ln2.weight"] = 1 + random(64, seed=seed)
    made["blocks.0.att.x_k"] = random(1, 1, 64, seed=seed)
    torch.save(made, path)
    return path


def miss(path: Path, seed: int = 1) -> Path:
    torch.save({f"{each}.disha": random(8, 64, seed=seed) for each in (ATT, FFN)}, path)
    return path


def pissa(path: Path, seed: int = 1) -> Path:
    made = {f"{ATT}.lora_A": random(4, 64, seed=seed), f"{ATT}.lora_B": random(64, 4, seed=seed)}
    names = {"lora_A": "init_lora_A", "lora_B": "init_lora_B"}
    first = {f"{ATT}.{names[each]}": made[f"{ATT}.{each}"] * 0.5 for each in names}
    path.parent.mkdir()
    torch.save(first, path.with_name("init_pissa.pth"))
    torch.save(made, path)
    return path


def norms(path: Path, seed: int = 1) -> Path:
    """ln0 is folded into the embedding where that is copied."""
    made = {"blocks.0.ln0.weight": 1 + random(64, seed=seed), "emb.weight": random(300, 64, seed=seed)}
    torch.save({f"{ATT}.disha": random(8, 64, seed=seed)} | made, path)
    return path


ADAPTERS = {
    "lora": lora,
    "miss": miss,
    "pissa": lambda path: pissa(path.parent / "p" / path.name),
    "norms": norms,
}


def finished(generator: Any) -> Any:
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def loaded(path: Path, tier: str) -> Model:
    return finished(load(path, device="cpu", dtype=tier))


def changing(path: Path, model: Model, should_stop=lambda: False) -> Changing:
    opened = Reading(open_archive(path), model.spec, model.tier, model.device, should_stop)
    return Changing(opened, model.tensors, None)


def change(path: Path, alpha: float | None = 8.0) -> Change:
    adapter = read_adapter(path)
    check_adapter(adapter, SPEC, alpha)
    return Change(adapter, alpha)


def merged_file(path: Path, base: Path, of: Change) -> Path:
    """In fp32, so that nothing is rounded twice."""
    archive = open_archive(base)
    made = {
        name: merged(name, archive.get(name), of.adapter, of.alpha).float().contiguous()
        for name in archive.shapes
    }
    save_file(made, path)
    return path


def same(found: Model, expected: Model) -> None:
    assert found.tensors.keys() == expected.tensors.keys()
    for name, x in expected.tensors.items():
        assert torch.equal(found.tensors[name], x), name


@pytest.fixture(params=["copied", "mapped"])
def base(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "mapped":
        monkeypatch.setattr(reading, "MAPPED_FROM", 0)
        monkeypatch.setattr(reading, "KEPT_FROM", 1)
        monkeypatch.setattr(reading, "TURNED_FROM", 0)
    return tiny.checkpoint(tmp_path / "base.pth", SPEC, dtype=torch.bfloat16)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("kind", ADAPTERS)
def test_it_is_the_merged_model(kind, tier, base, tmp_path):
    model, its = loaded(base, tier), change(ADAPTERS[kind](tmp_path / "adapter.pth"))
    assert finished(changing(base, model).switch(None, its))
    expected = loaded(merged_file(tmp_path / "merged.safetensors", base, its), tier)
    tokens = tiny.ids(SPEC, 9)
    with torch.inference_mode():
        model.release()
        found, truth = (each.forward(tokens, each.zero_state())[0] for each in (model, expected))
    if expected.tensors.keys() == model.tensors.keys():  # an embedding in place keeps ln0 beside it
        same(model, expected)
        assert torch.equal(found, truth)
    torch.testing.assert_close(found, truth, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("tier", TIERS)
def test_another_then_none(tier, base, tmp_path):
    first, second = change(lora(tmp_path / "a.pth", 1)), change(miss(tmp_path / "b.pth", 2))
    plain, model, alone = (loaded(base, tier) for _ in range(3))
    finished(changing(base, model).switch(None, first))
    finished(changing(base, model).switch(first, second))
    finished(changing(base, alone).switch(None, second))
    same(model, alone)
    finished(changing(base, model).switch(second, None))
    same(model, plain)


@pytest.mark.parametrize("tier", TIERS)
def test_only_what_is_touched_is_read(tier, base, tmp_path, monkeypatch):
    """And told: bytes of what is renewed, up to all of them."""
    model, its = loaded(base, tier), change(lora(tmp_path / "a.pth"))
    before = dict(model.tensors)
    work = changing(base, model)
    read: list[str] = []
    plain = Reading.checked
    monkeypatch.setattr(Reading, "checked", lambda self, name: read.append(name) or plain(self, name))
    events = list(work.switch(None, its))
    assert set(read) == its.touched
    kept = [name for name in before if not name.startswith(tuple(its.touched))]
    assert all(model.tensors[name] is before[name] for name in kept)
    assert [each.done for each in events] == sorted({each.done for each in events})
    assert events[-1] == Progress("adapt", events[-1].total, events[-1].total)


@pytest.mark.parametrize("tier", TIERS)
def test_a_switch_that_ends_halfway_leaves_the_model_as_it_was(tier, base, tmp_path, monkeypatch):
    first, second = change(lora(tmp_path / "a.pth", 1)), change(miss(tmp_path / "b.pth", 2))
    model, expected = loaded(base, tier), loaded(base, tier)
    for each in (model, expected):
        finished(changing(base, each).switch(None, first))
    count = iter(range(100))
    assert not finished(changing(base, model, lambda: next(count) >= 2).switch(first, second))
    same(model, expected)

    def failing(*arguments):
        if next(fails):
            raise MemoryError
        return merged(*arguments)

    fails = iter([False, True, *[False] * 20])
    monkeypatch.setattr(weights, "merged", failing)
    work = changing(base, model)
    with pytest.raises(MemoryError):
        finished(work.switch(first, second))
    assert work.consistent
    same(model, expected)
    monkeypatch.setattr(weights, "merged", lambda *_: 1 / 0)
    work = changing(base, model)
    with pytest.raises(ZeroDivisionError):
        finished(work.switch(first, second))
    assert not work.consistent


def test_the_id_is_of_what_it_does(tmp_path):
    first = change(lora(tmp_path / "a.pth"))
    assert first.id() == change(lora(tmp_path / "again.pth")).id()
    others = [
        change(lora(tmp_path / "b.pth", 2)),
        change(tmp_path / "a.pth", 9.0),
        change(miss(tmp_path / "c.pth")),
    ]
    assert len({first.id(), *(each.id() for each in others)}) == 4
    assert len(first.id()) == 32


# --------------------------------------------------------------------------------------------- the engine

PROMPT = (5, 6, 7)


def switched(engine: Engine, path: Path | None, alpha: float | None = 8.0) -> Adapted:
    *_, event = engine.adapt(AdaptRequest(None if path is None else str(path), alpha))
    assert isinstance(event, Adapted), event
    return event


def reply(engine: Engine, history: tuple[int, ...] = ()) -> Finished:
    params = SamplingParams(temperature=0, max_tokens=8)
    return ask(engine, GenerateRequest(PROMPT, history, params=params, stop=NO_STOP)).finished


@pytest.fixture
def of_small(model: LoadRequest, tmp_path: Path) -> Path:
    """A LoRA for the engine tests' model, strong enough to be heard."""
    shapes = open_archive(Path(model.path)).shapes
    out, width = shapes["head.weight"]
    made = {"head.lora_A": 3 * random(4, width, seed=3), "head.lora_B": 3 * random(out, 4, seed=4)}
    torch.save(made, tmp_path / "heard.pth")
    return tmp_path / "heard.pth"


@pytest.mark.parametrize("worker", ["thread", "process"])
@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_the_engine_speaks_with_it(
    worker: Literal["thread", "process"], dtype: str, model: LoadRequest, of_small: Path, tmp_path: Path
) -> None:
    """States of the model without it, or with it, are used for nothing else, and are there again."""
    with engine_on(tmp_path, replace(model, dtype=dtype), worker) as engine:
        plain = reply(engine)
        on = switched(engine, of_small)
        changed = reply(engine)
        assert changed.tokens != plain.tokens
        assert changed.usage.source == "fresh"
        assert plain.key is not None
        assert changed.key is not None
        assert (plain.key.adapter, changed.key.adapter) == ("", on.info.adapter)
        assert engine.known(on.info, [changed.prefix]) == {changed.prefix}
        assert engine.known(on.info, [plain.prefix]) == frozenset()
        off = switched(engine, None)
        assert off.info.adapter == ""
        again = reply(engine)
        assert again.tokens == plain.tokens
        assert again.usage.source in ("device", "ram", "disk")
        assert switched(engine, of_small).info == on.info
        assert reply(engine).tokens == changed.tokens


def test_what_cannot_be_put_on_changes_nothing(
    model: LoadRequest, of_small: Path, tmp_path: Path, monkeypatch
) -> None:
    foreign = tmp_path / "foreign.pth"
    torch.save({f"{ATT}.lora_A": torch.ones(2, 7), f"{ATT}.lora_B": torch.ones(9, 2)}, foreign)

    def refused(path: Path) -> Exception:
        *_, event = engine.adapt(AdaptRequest(str(path), 8.0))
        assert isinstance(event, Failed)
        return event.error

    with engine_on(tmp_path, model) as engine:
        plain = reply(engine)
        assert isinstance(refused(foreign), AdapterMismatch)
        monkeypatch.setattr(adapting, "free_bytes", lambda _: 10)
        assert isinstance(refused(of_small), OutOfMemory)
        monkeypatch.undo()
        job = engine.adapt(AdaptRequest(str(of_small), 8.0))
        job.cancel()
        assert isinstance([*job][-1], Cancelled | Adapted)
        switched(engine, None)
        assert reply(engine).tokens == plain.tokens
        Path(model.path).touch()
        assert isinstance(refused(of_small), FileChanged)
        assert reply(engine).tokens == plain.tokens


def test_a_model_that_cannot_be_brought_back_is_loaded_no_more(
    model: LoadRequest, of_small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_on(tmp_path, model) as engine:
        plain = reply(engine)
        switched(engine, of_small)
        monkeypatch.setattr(weights, "merged", lambda *_: 1 / 0)
        *_, event = engine.adapt(AdaptRequest(str(of_small), 9.0))
        monkeypatch.undo()
        assert isinstance(event, Failed)
        assert isinstance(event.error, Unexpected)
        *_, event = engine.submit(GenerateRequest(PROMPT, stop=NO_STOP))
        assert isinstance(event, Failed)
        assert isinstance(event.error, ModelNotLoaded)
        *_, event = engine.load(model)
        assert isinstance(event, Loaded)
        assert reply(engine).tokens == plain.tokens


def test_without_a_model_there_is_nothing_to_adapt(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    *_, event = engine.adapt(AdaptRequest("x"))
    engine.close()
    assert isinstance(event, Failed)
    assert isinstance(event.error, ModelNotLoaded)


@pytest.mark.gpu
@pytest.mark.parametrize("tier", ["bf16", "fp16", "int8", "int4"])
def test_on_a_card(tier: str, tmp_path: Path) -> None:
    """The tensors of the merged file, where they were before: a graph that knows their places goes on."""
    path = tiny.checkpoint(tmp_path / "base.pth", SPEC, dtype=torch.bfloat16)
    first, second = change(lora(tmp_path / "a.pth", 1)), change(miss(tmp_path / "b.pth", 2))
    model = finished(load(path, device="cuda", dtype=tier))
    places = {name: x.data_ptr() for name, x in model.tensors.items()}
    finished(changing(path, model).switch(None, first))
    finished(changing(path, model).switch(first, second))
    assert {name: x.data_ptr() for name, x in model.tensors.items()} == places
    expected = merged_file(tmp_path / "merged.safetensors", path, second)
    same(model, finished(load(expected, device="cuda", dtype=tier)))
    finished(changing(path, model).switch(second, None))
    same(model, finished(load(path, device="cuda", dtype=tier)))
