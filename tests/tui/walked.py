"""Runs the program on a terminal and goes through its screens and what lies over them, then leaves.

    python -m tests.tui.walked

A pilot presses the keys: from outside, nobody knows when the program is ready for the next one.
"""

from __future__ import annotations

import runpy
import sys
from functools import partialmethod
from typing import TYPE_CHECKING, Any

from rwkv_chat.session.models import Models
from rwkv_chat.session.token_scores import Candidate, TokenRow, TokenRows
from rwkv_chat.tui.app import RwkvChatApp
from rwkv_chat.tui.modes import MODES
from rwkv_chat.tui.screens.tokens import TokensScreen
from rwkv_chat.tui.screens.welcome import WelcomeScreen
from tests.tui.helpers import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.pilot import Pilot

OVER_THE_CHAT = ("ctrl+e", "f1", "f8", "ctrl+p")


async def walk(pilot: Pilot[Any]) -> None:
    """From the welcome on."""
    app: Any = pilot.app
    await until(pilot, lambda: isinstance(app.screen, WelcomeScreen))
    await pilot.press("enter", "enter", "enter")
    chat = app.screen_stack[0]
    await until(pilot, lambda: app.screen is chat and chat.nodes)
    await pilot.press("f4", "ctrl+f", *"/t")  # the sampling panel, a toast, what may be completed
    for key in OVER_THE_CHAT:
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not chat)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is chat)
    await app.push_screen(TokensScreen(_tokens(), can_part=True))
    await until(pilot, lambda: app.screen.rows)
    app.action_log()
    await pilot.pause()
    for mode in MODES:
        app.switch_mode(mode)
        await until(pilot, lambda mode=mode: app.current_mode == mode and app.screen.query("KeyFooter"))
    app.exit(0)


async def _tokens() -> AsyncIterator[TokenRows]:
    others = (Candidate(65, b" one", 0.5), Candidate(66, b" other", 0.02))
    rows = (TokenRow(65, b" one", 0.5, 1.0, 0, others), TokenRow(66, b" other", 0.02, 5.6, 1, others))
    yield TokenRows(0, 2, rows, "drawn")


if __name__ == "__main__":
    Models.start = lambda _: None  # pyright: ignore[reportAttributeAccessIssue]  nothing is loaded
    RwkvChatApp.run_async = partialmethod(RwkvChatApp.run_async, auto_pilot=walk)  # type: ignore[assignment]
    sys.argv = ["rwkv-chat"]
    runpy.run_module("rwkv_chat", run_name="__main__", alter_sys=True)
