"""Tuning for tests of the screens: runs that tell what they are told to, and nothing that computes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import Estimate, Evaluated, Progress, Step, TuneConfig
from engine.types.tuning import Memory, Sampled, Started, Stopped
from rwkv_chat.session.examples_types import Amount, Caution, Example, Found, Looked, Piece
from rwkv_chat.session.state_types import Persona, Shared
from rwkv_chat.session.tune_types import Count, Kept, Losses, Moment, Plan, Said, Tune

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.types import TokenIds, TuneEvent
    from rwkv_chat.session.examples_types import Selection
    from rwkv_chat.session.tune_types import PresetName, Side

EXAMPLES = (
    ("User: Are you coming tonight?\n\nAssistant:", " sure\nsee you at eight"),
    ("User: 今晚有空吗?\n\nAssistant:", " 有啊，几点？"),
    ("User: Bob: I am late.\nPerson B: Me too.\n\nAssistant:", " no worries"),
)
COMMAND = "rwkv-chat tune new /home/me/WhatsApp.zip --speaker Ann --method state --preset quick --consent"
MINUTES: dict[str, float] = {"quick": 2.0, "good": 11.0, "long": 95.0}
NOWHERE = Path("/nowhere")


def found(*, people: tuple[str, ...] = (), cautions: tuple[Caution, ...] = ()) -> Found:
    examples = tuple(
        Example((Piece(f"␀{asked}", learned=False), Piece(f"{said}␀", learned=True)), 24, 9)
        for asked, said in EXAMPLES
    )
    return Found(
        conversations=412,
        turns=5_310,
        skipped={"media": 120, "one-sided": 31, "double": 4},
        warnings=cautions,
        examples=examples,
        train=Amount(371, 48_210, 15_700),
        validation=Amount(41, 5_100, 1_690),
        longest=712,
        redacted={"e-mail": 3, "phone": 2},
        redactions=(("ann@mail.example", "e-mail"), ("+49 30 901820-11", "phone")),
        people=people,
        speakers=people[:1],
        held_from=(0.0, 371),
        template="classic",
    )


def tune(id_: str = "aaaa", name: str = "Ann's way", **changes: Any) -> Tune:
    known = {
        "status": "finished",
        "model": NOWHERE / "model.pth",
        "model_name": "G1 0.4B",
        "method": "state",
        "preset": "quick",
        "step": 40,
        "steps": 40,
        "loss": 2.1,
        "first": 3.4,
        "best": 2.3,
        "command": COMMAND,
    }
    return Tune(id_, name, NOWHERE / id_, **(known | changes))


def told(steps: int = 40, of: int = 40) -> list[TuneEvent]:
    """What a run tells up to a step."""
    events: list[TuneEvent] = [Started(0, of, 371, 48_210, 0, 1_000, "cpu")]
    for step in range(1, steps + 1):
        left = 3.0 * (of - step)
        events.append(Step(step, of, 2.0 + 1.6 * 0.93**step + 0.1 * (step % 3), 1e-2, 512.0, left))
        if step % 8 == 0:
            events.append(Evaluated(step, 2.2 + 1.3 * 0.93**step))
            events.append(Sampled(step, 0, tuple(each + 1 for each in b" see you at eight"), stopped=True))
    return [*events, Memory(steps, 900_000_000, 850_000_000)]


def _set() -> asyncio.Event:
    made = asyncio.Event()
    made.set()
    return made


@dataclass
class FakeTunes:
    """As `Tunes`, as far as the screens ask.

    Attributes:
        runs: by id.  told: what each tells.  go_on: set, a running one tells no more and ends.
        started: cleared, a beginning waits for it.
        looked: what was looked at.
        plans: what was asked for, and whether it was read before; changes: fields that are not the preset's.
        done: what was done, in order.
    """

    runs: dict[str, Tune] = field(default_factory=dict)
    told: dict[str, list[TuneEvent]] = field(default_factory=dict)
    found: Found = field(default_factory=found)
    error: Exception | None = None
    fits: bool = True
    leaves: bool = False
    practice: bool = False
    looked: list[Selection] = field(default_factory=list)
    plans: list[tuple[Selection, str, bool]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=_set)
    judged: list[tuple[int, int]] = field(default_factory=list)

    async def look(self, selection: Selection, look: Callable[[Looked], object] = lambda _: None) -> Found:
        if self.error is not None:
            raise self.error
        self.looked.append(selection)
        look(Looked(0, 50, 100))
        return self.found

    async def plan(
        self,
        selection: Selection,
        method: str = "state",
        preset: PresetName = "quick",
        *,
        name: str = "",
        found: Found | None = None,
        look: Callable[[Looked], object] = lambda _: None,
        **changes: Any,
    ) -> Plan:
        if self.error is not None:
            raise self.error
        self.plans.append((selection, method, found is not None))
        self.changes.append(changes)
        plan = Plan(
            name or f"{method} 2026-01-31 09:26",
            selection,
            found or self.found,
            NOWHERE / "model.pth",
            "G1 0.4B",
            "f" * 64,
            TuneConfig(model="/nowhere/model.pth", method=method, steps=40),
            preset,
            Estimate(1_800_000_000, 0, 0, 0, 193_000, 1_600.0, 2.0),
            "cpu",
            8_000_000_000 if self.fits else 1_000_000_000,
            "",
            practice=self.practice,
            leaves=self.leaves,
            fits=self.fits,
        )
        return self.with_preset(plan, preset)

    def with_preset(self, plan: Plan, preset: PresetName) -> Plan:
        command = COMMAND.replace("state", plan.config.method).replace("quick", preset)
        estimate = replace(plan.estimate, minutes=MINUTES[preset])
        command += f" --name '{plan.name}'"
        return replace(plan, preset=preset, estimate=estimate, command=command)

    async def start(self, plan: Plan, look: Any = None) -> Tune:
        await self.started.wait()
        self.done.append(f"start {plan.name}")
        self.runs["new"] = begun = tune("new", plan.name, status="running", step=0, steps=40)
        self.told["new"] = told(4)
        return begun

    async def list(self) -> tuple[Tune, ...]:
        return tuple(self.runs.values())

    async def show(self, id_: str) -> Tune:
        return self.runs[id_]

    async def events(self, id_: str) -> AsyncIterator[TuneEvent]:
        for each in self.told.get(id_, []):
            yield each
        if self.runs[id_].running:
            await self.go_on.wait()
            self.runs[id_] = replace(self.runs[id_], status="stopped")
            yield Stopped(self.runs[id_].step, "asked", "result")

    async def words(self, id_: str, tokens: TokenIds) -> str:
        return bytes(each - 1 for each in tokens).decode()

    async def stop(self, id_: str) -> Tune:
        self.done.append(f"stop {id_}")
        self.go_on.set()
        return self.runs[id_]

    async def chat_leaves(self, id_: str) -> bool:
        return self.leaves

    async def resume(self, id_: str) -> Tune:
        self.done.append(f"resume {id_}")
        self.go_on.clear()
        self.runs[id_] = replace(self.runs[id_], status="running")
        return self.runs[id_]

    async def remove(self, id_: str) -> None:
        self.done.append(f"remove {id_}")
        del self.runs[id_]

    def losses(self, of: Tune) -> Losses:
        return Losses(of.first, of.best)

    async def beside(self, id_: str, prompt: str, params: Any = None) -> AsyncIterator[Said]:
        for side, text in (("base", " I am"), ("base", " a model."), ("tuned", " sure, at eight")):
            yield Said(side, text)  # type: ignore[arg-type]

    async def moments(self, id_: str) -> AsyncIterator[Moment]:
        for index in range(3):
            answers = (f"real {index}", f"base {index}", f"tuned {index}")
            yield Moment(
                index, "User: Are you coming?\n\nAssistant:", answers, "real" if index == 0 else None
            )

    async def judge(self, id_: str, index: int, place: int) -> Side:
        self.judged.append((index, place))
        sides: tuple[Side, Side, Side] = ("real", "base", "tuned")
        return sides[place]

    async def count(self, id_: str) -> Count:
        places = [place for _, place in self.judged]
        return Count(1 + places.count(0), places.count(1), places.count(2), 3)

    async def keep(self, id_: str, name: str = "", thread: str = "") -> Kept:
        self.done.append(f"keep {id_} {thread}".strip())
        self.runs[id_] = replace(self.runs[id_], kept="persona")
        name = self.runs[id_].name
        return Kept(Persona("persona", name, "tuned", "", (), "", 0, "", "", {}, (), 0.0, None))

    async def export(
        self, id_: str, target: Path, what: str = "result", dtype: str = "stored"
    ) -> AsyncIterator[Progress | Shared]:
        self.done.append(f"export {id_} {target.name} {what} {dtype}")
        yield Progress("write", 1, 2)
        yield Shared(str(target), 1_000, 0, 1)
