"""Tuning without a process: what screens of runs are tested on.

session.tunes = FakeTunes(runs=[tune()])
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import Estimate, Evaluated, Step, TuneConfig
from engine.types.tuning import Memory, Sampled, Started, Stopped
from rwkv_chat.session.errors import TuneOver, TuneRuns, TuneUnknown
from rwkv_chat.session.examples_types import Amount, Example, Found, Piece
from rwkv_chat.session.state_types import Persona, Shared
from rwkv_chat.session.tune_types import Cost, Count, Kept, Losses, Moment, Plan, Said, Tune
from rwkv_chat.transcript import Thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from engine.types import SamplingParams, TokenIds, TuneEvent
    from rwkv_chat.session.examples_types import Looked, Selection
    from rwkv_chat.session.tune_types import PresetName, Side

CONFIG = TuneConfig("/nowhere/fake.safetensors", steps=40, device="cpu", base="fp32")
STEPS: dict[PresetName, int] = {"quick": 40, "good": 200, "long": 800}
ESTIMATE = Estimate(300_000_000, 100_000_000, 150_000_000, 50_000_000, 20_000, 120.0, 2.8)
FOUND = Found(
    conversations=40,
    turns=160,
    skipped={},
    warnings=(),
    examples=(Example((Piece("User: Hi\n\nAssistant:", False), Piece(" Hello.", True)), 12, 3),) * 3,
    train=Amount(36, 4_000, 1_500),
    validation=Amount(4, 400, 150),
    longest=200,
    redacted={},
    redactions=(),
    people=(),
    speakers=(),
    held_from=None,
    template="classic",
)
EVENTS: tuple[TuneEvent, ...] = (
    Started(0, 40, 36, 4_000, 0, 4_096, "cpu"),
    Evaluated(0, 2.0),
    *(Step(step, 40, 2.0 - step / 40, 0.01, 120.0) for step in range(1, 41)),
    Evaluated(40, 1.2),
    Sampled(40, 0, (66, 67), stopped=True),
    Memory(40, 300_000_000, 280_000_000),
    Stopped(40, "finished", "result/state.safetensors", 1.2),
)


def tune(id_: str = "0123456789ab", **changes: Any) -> Tune:
    """A run that has come to its end."""
    values = {
        "name": "Like me",
        "folder": Path("/nowhere") / id_,
        "status": "finished",
        "model": Path(CONFIG.model),
        "model_name": "Fake guide",
        "model_id": "f" * 64,
        "method": "state",
        "preset": "quick",
        "created": 1_700_000_000.0,
        "step": 40,
        "steps": 40,
        "loss": 1.0,
        "first": 2.0,
        "best": 1.2,
        "tokens_per_second": 120.0,
        "expected": 300_000_000,
        "peak": 280_000_000,
        "command": "rwkv-chat tune new log.txt --method state --preset quick --name 'Like me'",
    }
    return Tune(id_, **values | changes)


@dataclass
class FakeTunes:
    """`Tunes` on values: runs begin and end in memory.

    Attributes:
        events_: what every run tells, `delay` seconds apart.
        error: what `plan` and `start` fail with, once.
        asked: what was asked for, by the method's name.
    """

    runs_: list[Tune] = field(default_factory=list)
    found: Found = FOUND
    events_: Sequence[TuneEvent] = EVENTS
    delay: float = 0.0
    error: Exception | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)
    chosen: list[Side] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)

    def _fail(self) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error

    async def plan(
        self,
        selection: Selection,
        method: str = "state",
        preset: PresetName = "quick",
        *,
        name: str = "",
        found: Found | None = None,
        look: Callable[[Looked], object] | None = None,
        **changes: Any,
    ) -> Plan:
        self.asked.append(("plan", (selection, method, preset, changes)))
        self._fail()
        named = name or "Like me"
        costs = tuple(Cost(each, steps, steps * 0.07) for each, steps in STEPS.items())
        config = replace(CONFIG, method=method, steps=STEPS[preset])
        minutes = config.steps * 0.07
        made = Plan(
            name=named,
            selection=selection,
            found=found or self.found,
            model=Path(CONFIG.model),
            model_name="Fake guide",
            model_id="f" * 64,
            config=config,
            preset=preset,
            estimate=replace(ESTIMATE, minutes=minutes),
            device="cpu",
            free=8_000_000_000,
            command=f"rwkv-chat tune new --method {method} --preset {preset} --name '{named}'",
            practice=True,
            threads=tuple(each.thread for each in selection.branches),
            costs=costs,
        )
        return replace(made, **self.changes)

    def with_preset(self, plan: Plan, preset: PresetName) -> Plan:
        steps, minutes = next((each.steps, each.minutes) for each in plan.costs if each.preset == preset)
        config = replace(plan.config, steps=steps)
        return replace(plan, preset=preset, config=config, estimate=replace(plan.estimate, minutes=minutes))

    async def start(self, plan: Plan, look: Callable[[Looked], object] | None = None) -> Tune:
        self.asked.append(("start", plan))
        self._fail()
        id_ = f"{len(self.runs_) + 1:012x}"
        made = tune(id_, name=plan.name, status="running", method=plan.config.method, preset=plan.preset)
        self.runs_.insert(0, replace(made, step=0, best=None, steps=plan.config.steps, command=plan.command))
        return self.runs_[0]

    async def list(self) -> tuple[Tune, ...]:
        return tuple(self.runs_)

    async def find(self, name: str) -> Tune:
        found = [each for each in self.runs_ if name in (each.id, each.name)]
        if not found:
            raise TuneUnknown(name)
        return found[0]

    async def show(self, id_: str) -> Tune:
        return await self.find(id_)

    async def events(self, id_: str) -> AsyncIterator[TuneEvent]:
        for each in self.events_:
            await asyncio.sleep(self.delay)
            if (await self.show(id_)).status == "stopped":
                return
            if isinstance(each, Step):
                self._set(id_, step=each.step, loss=each.loss)
            yield each
        self._set(id_, status="finished")

    def _set(self, id_: str, **changes: Any) -> Tune:
        place = next(at for at, each in enumerate(self.runs_) if each.id == id_)
        self.runs_[place] = replace(self.runs_[place], **changes)
        return self.runs_[place]

    async def words(self, id_: str, tokens: TokenIds) -> str:
        return bytes(tokens).decode()

    async def ended(self, id_: str) -> Tune:
        return await self.show(id_)

    async def stop(self, id_: str) -> Tune:
        self.asked.append(("stop", id_))
        found = await self.show(id_)
        if not found.running:
            raise TuneOver(found.name)
        return self._set(id_, status="stopped")

    async def chat_leaves(self, id_: str) -> bool:
        return False

    async def resume(self, id_: str) -> Tune:
        self.asked.append(("resume", id_))
        found = await self.show(id_)
        if found.running:
            raise TuneRuns(found.name)
        return self._set(id_, status="running")

    async def remove(self, id_: str) -> None:
        self.asked.append(("remove", id_))
        found = await self.show(id_)
        if found.running:
            raise TuneRuns(found.name)
        self.runs_.remove(found)

    def losses(self, of: Tune) -> Losses:
        return Losses(of.first, of.best)

    async def beside(
        self, id_: str, prompt: str, params: SamplingParams | None = None
    ) -> AsyncIterator[Said]:
        self.asked.append(("beside", (id_, prompt)))
        said = Said("base", "I am "), Said("base", "a model."), Said("tuned", "hey, "), Said("tuned", "me")
        for each in said:
            await asyncio.sleep(self.delay)
            yield each

    async def moments(self, id_: str) -> AsyncIterator[Moment]:
        for index in range(3):
            await asyncio.sleep(self.delay)
            answers = f"real {index}", f"base {index}", f"tuned {index}"
            yield Moment(index, f"User: Question {index}?\n\nAssistant:", answers)

    async def judge(self, id_: str, index: int, place: int) -> Side:
        side: Side = ("real", "base", "tuned")[place]
        self.chosen.append(side)
        return side

    async def count(self, id_: str) -> Count:
        said = self.chosen
        return Count(said.count("real"), said.count("base"), said.count("tuned"), 3)

    async def keep(self, id_: str, name: str = "", thread: str = "") -> Kept:
        self.asked.append(("keep", (id_, name, thread)))
        found = self._set(id_, kept="persona")
        named = name or found.name
        persona = Persona("persona", named, "tuned", "", (), "", 0, "", "", {}, (), 0.0, None)
        return Kept(persona, Thread("beside", named, None) if thread else None)

    async def export(
        self, id_: str, target: Path, what: str = "result", dtype: str = "stored"
    ) -> AsyncIterator[Shared]:
        self.asked.append(("export", (id_, target, what)))
        yield Shared(str(target), 1_000, 160, 1)
