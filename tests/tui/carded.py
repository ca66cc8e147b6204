"""Shows the program's screens in a process of its own, as if there were an NVIDIA card, and tells what this
process has loaded after each.

    python -m tests.tui.carded HOME FILES STEP …

HOME is a data folder, FILES one with models in every format; `STEPS` are done in this order. Prints JSON:
step → names of heavy modules.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import nvidia, nvidia_driver
from rwkv_chat.session.examples_types import Branch
from rwkv_chat.tui.screens import shelf_look
from rwkv_chat.tui.screens.models import ModelsScreen
from rwkv_chat.tui.screens.settings import SettingsScreen
from rwkv_chat.tui.screens.states import StatesScreen
from rwkv_chat.tui.screens.tune import TuneScreen
from rwkv_chat.tui.screens.tune_new import NewTuneScreen
from tests import fakes
from tests.tui.helpers import opened, say_to, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot

    from rwkv_chat.tui.app import RwkvChatApp

    Step = Callable[[RwkvChatApp, Pilot[Any]], Awaitable[None]]

HEAVY = ("torch", "triton", "numba", "transformers")
FREE = 24_000_000_000


def pretend() -> None:
    """A card, PyTorch built for it, no driver that is too old, a whole spec; and nobody rests on a row."""
    fakes.SPEC = replace(fakes.SPEC, ranks=tuple((letter, 8) for letter in "agvw"))
    shelf_look.REST_SECONDS = 0.0
    nvidia.torch_cuda = lambda folder=None: (13, 0)
    nvidia.machine = lambda root=Path("/"): nvidia.Machine(("A card",), (600, 0))
    nvidia_driver.cards = lambda: (nvidia_driver.Card((8, 9), "1"),)
    nvidia_driver.free_bytes = lambda device: FREE


async def chat(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    for question in ("Who are you?", "What is a state?"):
        await say_to(pilot, app.screen_stack[0], question)  # type: ignore[arg-type]  it is the chat screen


async def models(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    """Every file's header is read, each is looked into, and one is used."""
    await pilot.press("ctrl+o")
    await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and app.screen.offers)
    screen = app.screen
    assert isinstance(screen, ModelsScreen)
    readable = [each for each in screen.entries if each.readable]
    assert len(readable) > 5
    assert {fit.device for each in (*readable, *screen.offers) for fit in each.fits} == {"cuda"}
    assert {fit.free for each in readable for fit in each.fits} == {FREE}
    for each in readable:
        await screen._look_into(each)
    assert len(screen.infos) == len(readable)
    used = next(each for each in readable if each.error is None and not each.card.builtin)
    screen.use(used.path, used.name)
    await until(pilot, lambda: app.session.models.current.path == used.path)
    await until(pilot, lambda: app.desk.model.ready)


async def verify(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    """A file is read through, which a process of its own does."""
    screen = app.screen
    assert isinstance(screen, ModelsScreen)
    screen.verify(next(each for each in screen.entries if each.readable and each.source != "built-in"))
    await until(pilot, lambda: any(each.verified for each in screen.entries))


async def states(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    app.switch_mode("states")
    await until(pilot, lambda: isinstance(app.screen, StatesScreen))


async def tune(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    """Up to the plan, which says what fits the card."""
    app.session.tunes.measure = lambda *_: 100.0  # no run
    app.switch_mode("tune")
    await until(pilot, lambda: isinstance(app.screen, TuneScreen))
    new = NewTuneScreen(app.desk, [Branch(each.id) for each in await app.session.chats.threads()])
    await app.push_screen(new)
    await until(pilot, lambda: new.source.chats.marked)
    new.action_next()
    await until(pilot, lambda: new.found is not None)
    new.action_next()
    await until(pilot, lambda: new.plans.plan is not None)
    assert new.plans.plan is not None
    assert (new.plans.plan.device, new.plans.plan.free) == ("cuda", FREE)
    await app.pop_screen()


async def settings(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    app.switch_mode("settings")
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
    await app.session.change_settings(device="cuda:0")
    app.switch_mode("models")
    await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and app.screen.chosen())


STEPS: dict[str, Step] = {
    "chat": chat,
    "models": models,
    "states": states,
    "tune": tune,
    "settings": settings,
    "verify": verify,
}


async def drive(home: Path, files: Path, steps: list[str]) -> dict[str, list[str]]:
    pretend()
    told = {"start": loaded()}
    async with opened(home) as (app, pilot, _):
        app.session.shelf.apart = True  # as `rwkv_chat.tui.app` opens a session
        async for _found in app.session.shelf.import_(files):
            pass
        for name in steps:
            await STEPS[name](app, pilot)
            told[name] = loaded()
    return told


def loaded() -> list[str]:
    return [each for each in HEAVY if each in sys.modules]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(drive(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))))
