"""Any sequence of tree operations leaves every node's state equal to replaying its token chain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from engine.weights.load import load
from rwkv_chat.library import copying
from tests.chat.real import model_folder, open_real
from tests.chat.talk import until
from tests.chat.tree_machine import TreeMachine, World

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from rwkv_chat.session import Session
    from tests.conftest import Sample

FEW, MANY = 12, 1500
STEPS = 10


def test_every_state_is_its_chain_replayed(
    tmp_path: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "AT_ONCE", 2)
    weights = model_folder(tmp_path / "model")
    with asyncio.Runner() as runner:
        session = runner.run(open_real(tmp_path / "home", weights))
        runner.run(until(lambda: _identified(session)))
        world = World(session, runner, _model(weights))
        checked: list[int] = []

        class Machine(TreeMachine):
            def __init__(self) -> None:
                self.world = world
                super().__init__()

            def teardown(self) -> None:
                super().teardown()
                checked.append(self.counts["states"])

        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=sample("sequences of tree operations", FEW, MANY),
                    stateful_step_count=STEPS,
                    phases=(Phase.explicit, Phase.generate),
                    suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much),
                ),
            )
        finally:
            runner.run(session.close())
        assert sum(checked) > 5 * len(checked)


async def _identified(session: Session) -> bool:
    return bool((await session.models.speaking()).info.id)


def _model(weights: Path) -> Any:
    loading = load(weights, device="cpu", dtype="fp32")
    while True:
        try:
            next(loading)
        except StopIteration as end:
            return end.value
