"""Another language while the program runs: keys are named anew, and screens are made anew when they are next
shown.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.dom import DOMNode

from rwkv_chat import texts
from rwkv_chat.texts import say
from rwkv_chat.tui.keymap import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from textual.binding import Binding, BindingsMap
    from textual.screen import Screen

    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.desk import Desk


async def speak(app: RwkvChatApp, language: str, modes: Mapping[str, Callable[[Desk], Screen[None]]]) -> None:
    """Say everything in `language` from now on; the screen that is shown composes itself anew.

    The chat is made anew as the others are: its parts know one another, and cannot be taken from under it.
    """
    texts.use(language)
    for each in _maps(app):
        _relabel(each)
    shown = app.current_mode
    if shown == "chat":
        await app.switch_mode("settings")
    here = app.current_mode
    app.desk.forget_screens()
    for name, screen in modes.items():
        if name != here:
            await app.remove_mode(name)
            app.add_mode(name, partial(screen, app.desk))
    await app.screen.recompose()
    if shown == "chat":
        await app.switch_mode("chat")
    app.refresh_bindings()


def _maps(app: RwkvChatApp) -> Iterator[BindingsMap]:
    """Of the classes, for the widgets to come, and of those that are there."""
    waiting: list[type[DOMNode]] = [DOMNode]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if (merged := kind.__dict__.get("_merged_bindings")) is not None:
            yield merged
    yield app._bindings  # noqa: SLF001  Textual words bindings once, and has no public way to word them again
    for screen in app.screen_stack:
        yield screen._bindings  # noqa: SLF001
        yield from (each._bindings for each in screen.query("*"))  # noqa: SLF001


def _relabel(bindings: BindingsMap) -> None:
    for key, found in bindings.key_to_bindings.items():
        bindings.key_to_bindings[key] = [_worded(each) for each in found]


def _worded(binding: Binding) -> Binding:
    if binding.id not in ROWS:
        return binding
    label, tooltip = say(f"keys.{binding.id}.label"), say(f"keys.{binding.id}.help")
    return replace(binding, description=label, tooltip=tooltip)
