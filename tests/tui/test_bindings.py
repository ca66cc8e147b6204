"""Every key that the program binds stands in its table, under an id that a key map can name, and what is
changed there holds: in small dialogs, too, and in what texts say of keys.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from textual.binding import Binding
from textual.dom import DOMNode
from textual.widgets import Button, Label, OptionList, Static

from rwkv_chat import tui
from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS
from rwkv_chat.tui.keymap import ROWS, split
from rwkv_chat.tui.screens.dialogs import Ask, Confirm
from rwkv_chat.tui.screens.manner import MannerDialog
from rwkv_chat.tui.screens.messages import MessagesScreen
from rwkv_chat.tui.screens.welcome import WelcomeScreen
from rwkv_chat.tui.terminal_keys import WINDOWS_OWN
from tests.tui.helpers import opened, say_to, toasts, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from textual.screen import Screen

OF_TEXTUAL = {"SettingList": "the keys of any list, but for Enter, which is the screen's"}
BY_HAND = {
    "ChatScreen.on_key": "letters typed beside the prompt go into it",
    "WritingScreen.on_key": "letters typed on a button go into the text",
    "PromptBox.on_key": "runs its own bindings in the order of typing; arrows and Tab move as in any box",
    "PathInput.on_key": "Tab completes, as in any shell",
    "NumberInput.on_key": "up and down step a number, as in any box of numbers",
    "Suggestions.on_key": "the number that stands before a question asks it",
    "SettingsScreen.key_down": "out of a box of one line, as Tab does",
    "LibraryScreen.key_down": "out of a box of one line, as Tab does",
    "RepliesScreen.key_enter": "closes an answer where there is nothing to choose",
}
# What deletes, and why a key of one letter may: it asks first, or can be undone.
HARMLESS = {
    "message.delete": "undone by the key for that, for 30 days",
    "books.remove": "in the trash for 30 days",
    "library.delete": "in the trash for 30 days; erasing asks",
    "models.remove": "asks",
    "states.remove": "asks",
    "states.thin": "what is missed is read again; names and pins stay",
    "tune.remove": "asks",
}
DESTRUCTIVE = ("delete", "erase", "remove", "thin")


def own_classes() -> dict[str, type[DOMNode]]:
    """Every widget, screen and app of ours, by name."""
    for module in pkgutil.walk_packages(tui.__path__, f"{tui.__name__}."):
        importlib.import_module(module.name)
    return {each.__name__: each for each in _below(DOMNode) if each.__module__.startswith(tui.__name__)}


def _below(kind: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


CLASSES = own_classes()


def bound(kind: type[DOMNode]) -> list[Binding | tuple[str, ...]]:
    """What a class itself binds."""
    return list(vars(kind).get("BINDINGS", ()))


def test_every_binding_has_an_id_of_the_table() -> None:
    assert len(CLASSES) > 50
    named = {each.id for kind in CLASSES.values() for each in bound(kind) if isinstance(each, Binding)}
    assert named - {None} == ROWS.keys()
    without = {
        name: [each for each in bound(kind) if not isinstance(each, Binding) or each.id is None]
        for name, kind in CLASSES.items()
    }
    for name in OF_TEXTUAL:
        assert set(without.pop(name)) <= set(OptionList.BINDINGS)
    assert {name: each for name, each in without.items() if each} == {}


def test_an_id_is_bound_as_the_table_says() -> None:
    for kind in CLASSES.values():
        for each in bound(kind):
            if isinstance(each, Binding) and each.id is not None:
                assert split(ROWS[each.id].keys)[0] in split(each.key)
                assert each.action == ROWS[each.id].action


def test_keys_that_are_taken_by_hand_are_known() -> None:
    """A handler that looks at keys itself cannot be given others: each has its reason."""
    found = {
        f"{name}.{each}"
        for name, kind in CLASSES.items()
        for each in vars(kind)
        if each.startswith("key_") or each in ("on_key", "_on_key")
    }
    assert found == BY_HAND.keys()


def test_no_binding_is_one_that_terminals_send_as_another_or_keep() -> None:
    keys = [key for kind in CLASSES.values() for each in bound(kind) for key in _keys(each)]
    assert keys
    assert {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+b", "ctrl+left_square_bracket"}.isdisjoint(keys)
    assert [each for each in keys if each.startswith(WINDOWS_OWN)] == []


def _keys(binding: Binding | tuple[str, ...]) -> list[str]:
    return split(binding.key if isinstance(binding, Binding) else binding[0])


def test_no_single_key_destroys() -> None:
    """A letter deletes only what comes back, or what is asked about."""
    deleting = [row for row in BINDINGS if any(each in row.action for each in DESTRUCTIVE)]
    assert {row.id for row in deleting if any(len(key) == 1 for key in split(row.keys))} == HARMLESS.keys()


# ------------------------------------------------------------------------------------------- a key map


def words(screen: Screen[Any]) -> str:
    return "\n".join(str(each.render()) for each in screen.query("Static, Label"))


async def test_the_keys_of_dialogs_can_be_others(tmp_path: Path) -> None:
    keymap = {"dialog.leave": "f11", "confirm.next": "f6", "manner.leave": "f2", "manner.choose": "x"}
    async with opened(tmp_path, keymap=keymap) as (app, pilot, screen):
        await say_to(pilot, screen, "hello")
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        assert "Enter keeps it · F11 leaves" in str(app.screen.query_one(".dialog-hint", Label).render())
        await pilot.press("escape")
        assert isinstance(app.screen, Ask), "the old key does nothing"
        await pilot.press("f11")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert app.screen.query_one("#no", Button).has_focus
        await pilot.press("right")
        assert app.screen.query_one("#no", Button).has_focus, "the old key does nothing"
        await pilot.press("f6")
        await until(pilot, lambda: app.screen.query_one("#yes", Button).has_focus)
        await pilot.press("f11")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.screen, MannerDialog))
        assert "F2 closes" in words(app.screen)
        await pilot.press("end", "x")  # the last template
        await pilot.press("f2")
        await until(pilot, lambda: app.screen is screen and screen.choices.template)


async def test_the_first_pages_follow_a_key_map(tmp_path: Path) -> None:
    keymap = {"welcome.next": "f6", "welcome.leave": "f11", "app.models": "f3", "chat.toggle_list": "ctrl+o"}
    async with opened(tmp_path, first_run=True, keymap=keymap) as (app, pilot, screen):
        await until(pilot, lambda: isinstance(app.screen, WelcomeScreen))
        assert "F6 continues · F11 begins at once" in words(app.screen)
        await pilot.press("enter", "f6")
        await until(pilot, lambda: app.screen.page == 1)  # pyright: ignore[reportAttributeAccessIssue]  the welcome's
        assert "F3 shows all models" in words(app.screen)
        await pilot.press("f11")
        await until(pilot, lambda: app.screen is screen)


async def test_a_key_that_is_changed_is_named_at_once(tmp_path: Path) -> None:
    """At the foot, in the greeting, in hints, in the help, and where it is told."""
    async with opened(tmp_path) as (app, pilot, screen):
        greeting = screen.query_one("#greeting", Static)
        await until(pilot, lambda: "Ctrl+O shows" in str(greeting.render()))
        await app.desk.change(keymap={"app.models": "f11", "app.quit": "ctrl+x", "message.go": "j"})
        await until(pilot, lambda: "F11 shows" in str(greeting.render()))
        foot = screen.query_one("KeyFooter", Static)
        await until(pilot, lambda: str(foot.render()).endswith("F11 Get a model  F1 Help  ^X Quit"))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: any(each == "Ctrl+X quits the program." for each in toasts(app)))
        await say_to(pilot, screen, "hello")
        await pilot.press("ctrl+e")
        await until(pilot, lambda: isinstance(app.screen, MessagesScreen))
        assert "J go back here" in words(app.screen)
        await pilot.press("f1")
        await until(pilot, lambda: app.screen.query("#help"))
        assert say("app.help.second") in words(app.screen)


async def test_what_is_wrong_with_a_key_map_is_told_once_at_the_start(tmp_path: Path) -> None:
    """An id that is not there, two on one key, and a key that is needed for writing: a sentence for each."""
    keymap = {"chat.stopp": "ctrl+x", "confirm.next": "up", "dialog.leave": "x", "chat.new": "f5"}
    async with opened(tmp_path, keymap=keymap) as (app, pilot, _):
        await until(pilot, lambda: toasts(app))
        (told,) = toasts(app)
        assert told.count("\n") == len(keymap) - 1
        assert "did you mean chat.stop?" in told
        assert "which “Previous” has" in told
        assert "could then not be typed" in told
        assert "which “Regenerate” has" in told
