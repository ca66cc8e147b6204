"""Six pictures of the real program with the built-in model, for the README: `make screenshots`.

What the guide says is drawn with a seed; pictures change when it is trained anew, or the screens are changed.
Not a test: nothing compares these pictures.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rwkv_chat.paths import Paths
from rwkv_chat.session import open_session
from rwkv_chat.tui.app import RwkvChatApp
from tests.tui.helpers import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot

FOLDER = Path(__file__).parents[2] / "assets" / "screenshots"
SIZE = (100, 30)
HOME = "/home/me/.local/share/rwkv-chat"
QUESTIONS = ("What is this?", "My name is Ada.", "What is my name?")
# The pictures name fonts that the reader's own machine has: nothing is fetched from elsewhere.
_FETCHED = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)

Shots = dict[str, "Callable[[RwkvChatApp, Pilot[Any]], Awaitable[None]]"]


async def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        session = await open_session(Paths.under(Path(home)), worker="thread", overrides={"language": "en"})
        await session.change_settings(first_run_done=True, sampling={"seed": 1}, reduced_motion=True)
        app = RwkvChatApp(session)
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: app.desk.model.ready, "the model")
            for name, prepare in SHOTS.items():
                await prepare(app, pilot)
                await pilot.pause()
                (FOLDER / f"{name}.svg").write_text(_picture(app, home), encoding="utf-8")
            await app.desk.close()
        await session.close()


def _picture(app: RwkvChatApp, home: str) -> str:
    picture = app.export_screenshot(title="RWKV Chat").replace(home, HOME)
    return "\n".join(line.rstrip() for line in _FETCHED.sub("", picture).splitlines()) + "\n"


async def _chat(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    chat = app.chat
    assert chat is not None
    for number, question in enumerate(QUESTIONS, 1):
        chat.prompt.text = question
        await pilot.press("enter")
        await until(pilot, lambda number=number: len(chat.nodes) == 2 * number and chat.live is None)


async def _messages(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    await pilot.press("ctrl+e")
    await until(pilot, lambda: app.screen is not app.chat)


async def _models(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    await pilot.press("escape", "ctrl+o")
    await until(pilot, lambda: getattr(app.screen, "offers", ()))


async def _palette(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    await pilot.press("escape", "ctrl+p", *"theme")
    await until(
        pilot, lambda: app.screen.query("CommandList") and app.screen.query_one("CommandList").display
    )


async def _states(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    await pilot.press("escape", "ctrl+g", "v")
    await pilot.pause(0.5)


async def _settings(app: RwkvChatApp, pilot: Pilot[Any]) -> None:
    await pilot.press("escape", "f12")
    await until(pilot, lambda: app.screen.query("SettingList"))
    await app.desk.change(theme="rwkv-light")
    getattr(app.screen, "show", print)()


SHOTS: Shots = {
    "chat": _chat,
    "messages": _messages,
    "models": _models,
    "palette": _palette,
    "states": _states,
    "settings": _settings,
}

if __name__ == "__main__":
    asyncio.run(main())
