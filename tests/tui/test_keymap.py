"""A person's key map, and keys that terminals keep for themselves."""

from __future__ import annotations

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key

from rwkv_chat.tui.bindings import ALTERNATES, BINDINGS, all_keys
from rwkv_chat.tui.keymap import ROWS, KeyTrouble, look, split, trouble_words
from rwkv_chat.tui.slash import SLASH
from rwkv_chat.tui.terminal_keys import TERMINALS, WITHOUT_KEY, Terminal


@pytest.mark.parametrize(
    ("keymap", "trouble", "words"),
    [
        (
            {"chat.stopp": "ctrl+x"},
            KeyTrouble("chat.stopp", "ctrl+x", "unknown", "chat.stop"),
            "did you mean chat.stop?",
        ),
        ({"zzz": "ctrl+x"}, KeyTrouble("zzz", "ctrl+x", "unknown"), "which is no action."),
        ({"chat.stop": "ctrl+nosuch"}, KeyTrouble("chat.stop", "ctrl+nosuch", "key"), "does not exist"),
        ({"chat.stop": "hyperdrive+a"}, KeyTrouble("chat.stop", "hyperdrive+a", "key"), "does not exist"),
        ({"chat.stop": ""}, KeyTrouble("chat.stop", "", "key"), "does not exist"),
        ({"chat.stop": "ctrl+i"}, KeyTrouble("chat.stop", "ctrl+i", "same", "tab"), "send as Tab"),
        ({"chat.stop": "ctrl+m"}, KeyTrouble("chat.stop", "ctrl+m", "same", "enter"), "send as Enter"),
        ({"chat.stop": "x"}, KeyTrouble("chat.stop", "x", "letter"), "could then not be typed"),
        ({"app.help": "shift+h"}, KeyTrouble("app.help", "shift+h", "letter"), "could then not be typed"),
        ({"chat.new": "f5"}, KeyTrouble("chat.new", "f5", "double", "chat.regenerate"), "“Regenerate” has"),
        ({"library.tag": "ctrl+q"}, KeyTrouble("library.tag", "ctrl+q", "double", "app.quit"), "“Quit” has"),
        ({"dialog.leave": "f2"}, KeyTrouble("dialog.leave", "f2", "double", "edit.keep"), "“Replace” has"),
        ({"confirm.next": "up"}, KeyTrouble("confirm.next", "up", "double", "confirm.previous"), "“Prev"),
        ({"dialog.leave": "x"}, KeyTrouble("dialog.leave", "x", "letter"), "could then not be typed"),
        ({"app.help": "alt+n"}, KeyTrouble("app.help", "alt+n", "double", "chat.new"), "“New chat” has"),
    ],
)
def test_what_is_wrong_is_told_and_does_not_hold(
    keymap: dict[str, str], trouble: KeyTrouble, words: str
) -> None:
    sound, troubles = look({**keymap, "chat.redo": "f11"})
    assert sound == {"chat.redo": "f11"}
    assert troubles == (trouble,)
    assert words in trouble_words(trouble)


@pytest.mark.parametrize(
    "keymap",
    [
        {"chat.new": "f5", "chat.regenerate": "f11"},  # the one that had it goes elsewhere
        {"library.tag": "z"},  # no letters are written there
        {"chat.stop": "ctrl+x, f11"},
        {"chat.stop": "alt+full_stop"},
        {"message.edit": "f5"},  # never shown together with the chat's
    ],
)
def test_what_is_right_holds(keymap: dict[str, str]) -> None:
    sound, troubles = look(keymap)
    assert troubles == ()
    assert sound.keys() == keymap.keys()


def test_two_that_ask_for_one_key_are_told_once() -> None:
    sound, troubles = look({"chat.new": "f11", "chat.stop": "f11"})
    assert len(sound) == 1
    assert [each.kind for each in troubles] == ["double"]


# ------------------------------------------------------------------------------------------- our own table


def test_our_own_table_is_a_sound_key_map() -> None:
    for row in BINDINGS:
        assert look({row.id: all_keys(row)}) == ({row.id: all_keys(row)}, ())


def test_an_alternate_is_of_a_key_that_there_is() -> None:
    assert ALTERNATES.keys() <= ROWS.keys()


@pytest.mark.parametrize("terminal", TERMINALS, ids=lambda each: each.name)
def test_every_action_has_a_key_that_each_terminal_passes_on(terminal: Terminal) -> None:
    lost = {row.id for row in BINDINGS if set(split(all_keys(row))) <= terminal.keeps}
    assert lost <= WITHOUT_KEY.keys()


def test_what_has_no_second_key_has_another_way() -> None:
    """The prompt takes a backslash before Enter for a new line; a command does what it says."""
    assert WITHOUT_KEY.keys() == {"prompt.newline", "chat.tokens"}
    assert {"/tokens"} <= {f"/{row.name}" for row in SLASH}


def test_the_terminals_know_what_is_often_kept() -> None:
    kept = set().union(*(each.keeps for each in TERMINALS))
    assert {"f1", "f10", "f11", "ctrl+pageup", "ctrl+pagedown", "ctrl+tab", "ctrl+space"} <= kept
    assert {"alt+1", "ctrl+b", "ctrl+p", "ctrl+e", "ctrl+k", "ctrl+v", "alt+enter"} <= kept


def test_the_terminals_keep_keys_at_all() -> None:
    """Without the second keys, the test above would fail for most of them."""
    lost = [t.name for t in TERMINALS if any(set(split(row.keys)) <= t.keeps for row in BINDINGS)]
    assert {"GNOME Terminal", "VS Code", "macOS Terminal"} <= set(lost)


@pytest.mark.parametrize("key", sorted({key for keys in ALTERNATES.values() for key in split(keys)}))
def test_what_terminals_send_for_alt_is_that_key(key: str) -> None:
    """Alt is an escape before the character; the others have sequences of their own."""
    sent = {"alt+down": "\x1b[1;3B", "alt+up": "\x1b[1;3A"}
    sent |= {"shift+pageup": "\x1b[5;2~", "shift+pagedown": "\x1b[6;2~"}
    parser = XTermParser()
    events = [*parser.feed(sent.get(key, f"\x1b{key[-1]}")), *parser.feed("")]
    assert [each.key for each in events if isinstance(each, Key)] == [key]


def test_no_letter_alone_destroys() -> None:
    """Keys that delete are named so, or are asked about: a letter in the prompt is only ever a letter."""
    typed = [row for row in BINDINGS if row.scope in ("app", "chat", "prompt")]
    letters = [row.id for row in typed for key in split(all_keys(row)) if len(key) == 1]
    assert letters == []


def test_no_key_is_one_that_terminals_send_as_another() -> None:
    keys = {key for row in BINDINGS for key in split(all_keys(row))}
    assert keys.isdisjoint({"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+left_square_bracket"})
