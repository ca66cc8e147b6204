"""The check of the fast path: what is right is trusted, what is wrong or raises is not; it is remembered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import pytest
import torch

from engine import fast_path, nvidia, trust
from engine.errors import CardLost
from engine.graphs import PlainStepper
from engine.ops import kernels
from engine.trust import combination, trusted
from engine.verdicts import FILE, Combination, Verdict, Verdicts
from tests.engine import tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.models.model import Model
    from engine.models.state import State
    from engine.tokenizer import Tokenizer
    from engine.types import NotFast

EXEMPT = torch.zeros(96, dtype=torch.uint8)
OF = Combination("Card 9.0", "580.65", "2.13", "3.7", "abc", "rwkv7 bf16")


class Wrong(PlainStepper):
    """Its logits are a little off from the third token on."""

    steps = 0

    def step(self) -> None:
        super().step()
        self.steps += 1
        if self.steps >= 3:
            self.logits.mul_(torch.linspace(0.5, 1.5, self.logits.shape[-1]))


class Forgetful(PlainStepper):
    """Right logits, but the state it tells is one step old."""

    def state(self) -> State:
        return self._model.zero_state(1)


class Raising(PlainStepper):
    def step(self) -> None:
        raise RuntimeError("no kernel image is available\nfor execution on the device")


@pytest.fixture(autouse=True)
def kernels_as_before() -> Iterator[None]:
    yield
    kernels.allow(True)


@pytest.fixture(scope="module", params=["rwkv6", "rwkv7"])
def model(request: pytest.FixtureRequest) -> Model:
    return tiny.model(tiny.spec(arch=request.param))


def judged(model: Model, kind: type[PlainStepper], verdicts: Verdicts) -> NotFast | None:
    outcome = trusted(model, lambda batch: kind(model, batch), EXEMPT, verdicts, OF)
    assert outcome.fast is (outcome.told is None)
    return outcome.told


def test_what_is_right_is_trusted_and_not_checked_again(model: Model, tmp_path: Path) -> None:
    verdicts = Verdicts(tmp_path)
    assert judged(model, PlainStepper, verdicts) is None
    assert verdicts.find(OF) == Verdict("", "", OF.card)
    assert judged(model, Raising, Verdicts(tmp_path)) is None


@pytest.mark.parametrize(
    ("kind", "reason", "detail"),
    [
        (Wrong, "differs", "decode, token 3"),
        (Forgetful, "differs", "state after decoding"),
        (Raising, "failed", "RuntimeError: no kernel image is available"),
    ],
)
def test_what_is_wrong_is_refused_from_then_on(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, reason: str, detail: str
) -> None:
    monkeypatch.setattr(nvidia, "unbuildable", lambda: None)
    told = judged(model, kind, Verdicts(tmp_path))
    assert told is not None
    assert (told.reason, told.card) == (reason, OF.card)
    assert told.detail.startswith(detail)
    assert judged(model, PlainStepper, Verdicts(tmp_path)) == told
    assert kernels._here.allowed is False


def test_a_prefill_that_differs_is_noticed(tmp_path: Path) -> None:
    """The kernel of prefill is allowed in one of the two runs only."""
    model = tiny.model(tiny.spec())
    plain = model.forward

    def forward(tokens: torch.Tensor, state: State, **more: object) -> tuple[torch.Tensor, State]:
        logits, after = plain(tokens, state)
        return (logits * 1.01 if kernels._here.allowed else logits), after

    model.forward = forward
    told = judged(model, PlainStepper, Verdicts(tmp_path))
    assert told is not None
    assert told.detail.startswith("prefill: 0.01")


def test_a_sampler_that_draws_otherwise_is_noticed(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.graphs.sample_rows", lambda logits, rows, drawn: drawn.fill_(5))
    told = judged(model, PlainStepper, Verdicts(tmp_path))
    assert told is not None
    assert told.detail.startswith("sampler, token")


def test_nan_is_not_equal_to_anything(tmp_path: Path) -> None:
    class Broken(PlainStepper):
        def step(self) -> None:
            super().step()
            self.logits[0, 3] = torch.nan

    model = tiny.model(tiny.spec())
    told = judged(model, Broken, Verdicts(tmp_path))
    assert told is not None
    assert told.detail == "decode, token 1"


def test_what_a_person_can_mend_is_looked_at_again(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia, "unbuildable", lambda: "no_compiler")
    told = judged(model, Raising, Verdicts(tmp_path))
    assert told is not None
    assert told.reason == "no_compiler"
    assert judged(model, PlainStepper, Verdicts(tmp_path)) is None


def test_no_room_to_check_is_no_verdict(model: Model, tmp_path: Path) -> None:
    def full(batch: int) -> PlainStepper:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        trusted(model, full, EXEMPT, Verdicts(tmp_path), OF)
    assert Verdicts(tmp_path).find(OF) is None


def test_a_device_that_is_lost_is_an_error_and_is_not_tried_again(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia, "unbuildable", lambda: None)

    def zeros(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def lost(model: Model, batch: int) -> PlainStepper:
        monkeypatch.setattr(trust.torch, "zeros", zeros)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(CardLost):
        trusted(model, lambda batch: lost(model, batch), EXEMPT, Verdicts(tmp_path), OF)
    monkeypatch.undo()
    found = Verdicts(tmp_path).find(OF)
    assert found is not None
    assert found.reason == "failed"


# ---------------------------------------------------------------------------------------------- what is kept


def test_a_check_that_ended_its_program_is_not_begun_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN_AND_DIE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 9, done.stderr
    assert Verdicts(tmp_path).find(OF) == Verdict("crashed", "", OF.card)


BEGIN_AND_DIE = """
import os, sys
from pathlib import Path
from engine.verdicts import Combination, Verdicts
Verdicts(Path(sys.argv[1])).begin(Combination("Card 9.0", "580.65", "2.13", "3.7", "abc", "rwkv7 bf16"))
os._exit(9)
"""


def test_a_check_that_another_program_is_at_is_no_verdict(tmp_path: Path) -> None:
    Verdicts(tmp_path).begin(OF)
    rows = json.loads((tmp_path / FILE).read_text())
    rows[OF.key]["process"] = os.getppid()
    (tmp_path / FILE).write_text(json.dumps(rows))
    assert Verdicts(tmp_path).find(OF) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"x": 3}', '{"x": {"reason": 3}}', '{"x": {"process": "9"}}']
)
def test_a_damaged_file_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(text)
    verdicts = Verdicts(tmp_path)
    assert verdicts.all() == ()
    verdicts.keep(OF, Verdict("differs", "x", OF.card))
    assert Verdicts(tmp_path).all() == (Verdict("differs", "x", OF.card),)


def test_without_a_folder_verdicts_last_as_long_as_their_holder() -> None:
    verdicts = Verdicts(None)
    verdicts.keep(OF, Verdict("", "", OF.card))
    assert verdicts.find(OF) == Verdict("", "", OF.card)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    Verdicts(tmp_path / "file").keep(OF, Verdict())
    assert Verdicts(tmp_path / "file").find(OF) is None


def test_another_version_of_anything_is_another_combination(model: Model) -> None:
    here = combination(model)
    assert here.torch == torch.__version__
    assert len(here.kernels) == 64
    names = ("card", "driver", "torch", "triton", "kernels", "model")
    values = {name: getattr(here, name) for name in names}
    keys = {Combination(**{**values, name: values[name] + "'"}).key for name in names}
    assert len(keys | {here.key}) == len(names) + 1


# ---------------------------------------------------------------------------------------------- while loading


@pytest.mark.parametrize(
    ("asked", "device", "reason"),
    [("auto", "cpu", "cpu_build"), ("cpu", "cpu", None), ("auto", "cuda", None)],
)
def test_a_card_that_is_left_unused_is_told(
    monkeypatch: pytest.MonkeyPatch, asked: str, device: str, reason: str | None
) -> None:
    monkeypatch.setattr(nvidia, "machine", lambda: nvidia.Machine(("NVIDIA X",), (580, 65)))
    monkeypatch.setattr(nvidia, "torch_cuda", lambda: None)
    told = fast_path.unused_card(asked, torch.device(device))
    assert (told.reason if told else None) == reason


@pytest.mark.parametrize(
    ("available", "driver", "reason"),
    [(False, (580, 65), "not_seen"), (True, (580, 65), "old_card"), (False, (535, 1), "old_driver")],
)
def test_why_a_build_with_cuda_does_not_use_the_card(
    monkeypatch: pytest.MonkeyPatch, available: bool, driver: tuple[int, ...], reason: str
) -> None:
    monkeypatch.setattr(nvidia, "machine", lambda: nvidia.Machine(("NVIDIA X",), driver))
    monkeypatch.setattr(nvidia, "torch_cuda", lambda: (13, 0))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    told = fast_path.unused_card("auto", torch.device("cpu"))
    assert told is not None
    assert (told.reason, told.card) == (reason, "NVIDIA X")
    assert "13.0" in told.detail


def test_a_model_on_the_processor_has_no_graphs_and_nothing_to_tell(model: Model) -> None:
    found = fast_path.graphs_of(model, cast("Tokenizer", None), None)
    assert list(found) == []
