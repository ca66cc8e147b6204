"""The main screens, by the names of their modes; each is imported when it is first shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.tui.screens.chat import ChatScreen

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.screen import Screen

    from rwkv_chat.tui.desk import Desk


def _models(desk: Desk) -> Screen[None]:
    from rwkv_chat.tui.screens.models import ModelsScreen

    return ModelsScreen(desk)


def _library(desk: Desk) -> Screen[None]:
    from rwkv_chat.tui.screens.library import LibraryScreen

    return LibraryScreen(desk)


def _states(desk: Desk) -> Screen[None]:
    from rwkv_chat.tui.screens.states import StatesScreen

    return StatesScreen(desk)


def _settings(desk: Desk) -> Screen[None]:
    from rwkv_chat.tui.screens.settings import SettingsScreen

    return SettingsScreen(desk)


def _tune(desk: Desk) -> Screen[None]:
    from rwkv_chat.tui.screens.tune import TuneScreen

    return TuneScreen(desk)


MODES: dict[str, Callable[[Desk], Screen[None]]] = {
    "chat": ChatScreen,
    "library": _library,
    "models": _models,
    "states": _states,
    "settings": _settings,
    "tune": _tune,
}
