"""Settings that were changed take hold at once: one function for each that the interface has a part in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widgets import Input, TextArea

from rwkv_chat.texts import spoken
from rwkv_chat.tui.keymap import look, say_keys
from rwkv_chat.tui.themes import DARK
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.widget import Widget

    from rwkv_chat.tui.app import RwkvChatApp
    from rwkv_chat.tui.keymap import KeyTrouble

MOUSE_MODES = (1000, 1003, 1015, 1006)  # as Textual's drivers ask for them
SWAPPED = {"prompt.send": "ctrl+j", "prompt.newline": "enter,shift+enter"}  # Enter makes a new line


def apply(app: RwkvChatApp, names: Iterable[str]) -> None:
    """Make the settings of these names hold."""
    for step in dict.fromkeys(APPLIED[name] for name in names if name in APPLIED):
        step(app)


def theme(app: RwkvChatApp) -> None:
    name = app.desk.session.settings.theme or DARK.name
    if name in app.available_themes and name != app.theme:
        app.theme = name


def keys(app: RwkvChatApp) -> tuple[KeyTrouble, ...]:
    """The person's key map over our keys; what is wrong with it."""
    values = app.desk.session.settings
    sound, troubles = look(values.keymap)
    app.desk.keymap = {**({} if values.enter_sends else SWAPPED), **sound}
    app.set_keymap(dict(app.desk.keymap))
    say_keys(app.desk.keymap)
    return troubles


def keymap(app: RwkvChatApp) -> None:
    """The keys, and what the chat says of them; other screens say theirs anew when they are shown."""
    keys(app)
    if (screen := app.chat) is not None and screen.begun:
        screen.call_later(screen.keys_changed)


def motion(app: RwkvChatApp) -> None:
    """Animations, and the cursor that blinks; boxes that come later are told when they get the focus."""
    still = app.desk.session.settings.reduced_motion
    app.animation_level = "none" if still else app.usual_motion
    blink(app, app.focused)


def blink(app: RwkvChatApp, widget: Widget | None) -> None:
    """Whether the cursor of a box blinks."""
    if isinstance(widget, Input | TextArea):
        widget.cursor_blink = not app.desk.session.settings.reduced_motion


def mouse(app: RwkvChatApp) -> None:
    """The terminal's own selection needs a program that leaves the mouse alone."""
    last = "h" if app.desk.session.settings.mouse else "l"
    app.send("".join(f"\x1b[?{mode}{last}" for mode in MOUSE_MODES))


def model(app: RwkvChatApp) -> None:
    """Other weights, unless they are in use already."""
    path = app.desk.session.settings.model
    current = app.desk.session.models.current
    if path != ("" if current.builtin else str(current.path)):
        start_work(app, partial(app.desk.use, Path(path) if path else None), group="use")


def chat(app: RwkvChatApp) -> None:
    """The parts of the chat screen that may be hidden."""
    if (screen := app.chat) is not None and screen.begun:
        screen.call_later(screen.take_settings)


def language(app: RwkvChatApp) -> None:
    wanted = app.desk.session.settings.language
    if wanted != spoken():
        start_work(app, app.speak(wanted))


def load_again(app: RwkvChatApp) -> None:
    app.desk.load_again()


APPLIED: dict[str, Callable[[RwkvChatApp], object]] = {
    "theme": theme,
    "language": language,
    "show_list": chat,
    "show_sampling": chat,
    "enter_sends": keymap,
    "keymap": keymap,
    "reduced_motion": motion,
    "mouse": mouse,
    "model": model,
    "device": load_again,
    "dtype": load_again,
}
