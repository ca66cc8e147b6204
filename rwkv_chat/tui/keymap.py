"""A person's key map: what is wrong with it is told, and what is right holds.

sound, troubles = look({"chat.stop": "ctrl+x"})
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rwkv_chat import texts
from rwkv_chat.setting_specs import nearest
from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS, KeyBinding, all_keys, brief_key, shown_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from textual.screen import Screen

TroubleKind = Literal["unknown", "key", "same", "letter", "double"]
MODIFIERS = {"ctrl", "alt", "shift", "super", "hyper", "meta"}
# Terminals send these as Tab, Enter and Escape.
SAME = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+left_square_bracket": "escape", "ctrl+[": "escape"}
_NAMED = {
    *(
        "enter",
        "escape",
        "tab",
        "space",
        "backspace",
        "delete",
        "insert",
        "home",
        "end",
        "pageup",
        "pagedown",
    ),
    *("up", "down", "left", "right", *(f"f{number}" for number in range(1, 25))),
}
TYPED = {"app", "chat", "prompt", "edit", "dialog"}  # scopes in which letters are written
TOGETHER = ({"chat", "prompt"}, *({"dialog", each} for each in ("confirm", "edit", "presets")))
ROWS = {row.id: row for row in BINDINGS}
SCOPES = tuple(dict.fromkeys(row.scope for row in BINDINGS))


@dataclass(frozen=True, slots=True)
class KeyTrouble:
    """One line of a key map that does not hold.

    Attributes:
        kind: "unknown" id, "key" that has no such name, "same" as another key in a terminal, "letter" that
            could no longer be typed, or "double": another action has it.
        other: the nearest id ("" for none), the key that it is sent as, or the id that has the key.
    """

    id: str
    keys: str
    kind: TroubleKind
    other: str = ""


def look(keymap: Mapping[str, str]) -> tuple[dict[str, str], tuple[KeyTrouble, ...]]:
    """The part of a key map that holds, and what is wrong with the rest."""
    sound: dict[str, str] = {}
    troubles: list[KeyTrouble] = []
    for name, keys in keymap.items():
        found = _alone(name, keys)
        if found is None:
            sound[name] = ",".join(split(keys))
        else:
            troubles.append(found)
    doubles: list[KeyTrouble] = []
    for name in list(sound):
        other = _holder(name, sound)
        doubles += [KeyTrouble(name, sound.pop(name), "double", other)] if other is not None else []
    return sound, (*troubles, *doubles)


def trouble(name: str, keys: str, keymap: Mapping[str, str]) -> KeyTrouble | None:
    """What is wrong with one more line of a key map."""
    _, troubles = look({**keymap, name: keys})
    return next((each for each in troubles if each.id == name), None)


def split(keys: str) -> list[str]:
    return [each.strip() for each in keys.split(",") if each.strip()]


def keys_of(row: KeyBinding, keymap: Mapping[str, str]) -> str:
    """The keys in force, comma separated."""
    return keymap.get(row.id) or all_keys(row)


def scopes_of(screen: Screen[object]) -> list[str]:
    """The parts whose keys work on a screen where its focus is, from the prompt to the program."""
    ids = {each.binding.id for each in screen.active_bindings.values()}
    here = {row.scope for name, row in ROWS.items() if name in ids}
    return [name for name in SCOPES if name in here]


class KeyNames:
    """Keys as a text names them, by binding id: `{key[chat.stop]}`. The first of those in force."""

    def __init__(self, keymap: Mapping[str, str], name: Callable[[str], str]) -> None:
        self._keymap, self._name = keymap, name

    def __getitem__(self, name: str) -> str:
        return self._name(keys_of(ROWS[name], self._keymap).split(",")[0])


def say_keys(keymap: Mapping[str, str]) -> None:
    """Texts name the keys of this key map from now on."""
    texts.use_keys(key=KeyNames(keymap, shown_keys), brief=KeyNames(keymap, brief_key))


def trouble_words(found: KeyTrouble) -> str:
    """One sentence."""
    other = say(f"keys.{found.other}.label") if found.kind == "double" else found.other
    keys = shown_keys(found.keys) if found.kind != "key" else found.keys
    kind = "unknown_near" if found.kind == "unknown" and other else found.kind
    text = shown_keys(other) if found.kind == "same" else other
    return say(f"app.keymap.{kind}", id=found.id, keys=keys, other=text)


def _alone(name: str, keys: str) -> KeyTrouble | None:
    """What is wrong with a line whatever the others are."""
    row, each_key = ROWS.get(name), split(keys)
    if row is None:
        return KeyTrouble(name, keys, "unknown", nearest(name, ROWS))
    if not each_key or not all(map(_exists, each_key)):
        return KeyTrouble(name, keys, "key")
    for key in each_key:
        if key in SAME:
            return KeyTrouble(name, key, "same", SAME[key])
        if row.scope in TYPED and _types(key):
            return KeyTrouble(name, key, "letter")
    return None


def _exists(key: str) -> bool:
    *modifiers, base = key.split("+") if key != "+" else ["+"]
    if not set(modifiers) <= MODIFIERS:
        return False
    return base in _NAMED or (len(base) == 1 and base.isprintable()) or _has_name(base)


def _has_name(base: str) -> bool:
    """Whether it is a character's name as Textual writes it: "full_stop"."""
    try:
        unicodedata.lookup(base.replace("_", " ").upper())
    except KeyError:
        return base in ("slash", "minus", "plus", "underscore", "backslash")
    return True


def _types(key: str) -> bool:
    """Whether the key writes a character."""
    *modifiers, base = key.split("+") if key != "+" else ["+"]
    return not set(modifiers) - {"shift"} and base not in _NAMED - {"space"}


def _holder(name: str, keymap: Mapping[str, str]) -> str | None:
    """The id of another action that has one of this action's keys at the same time."""
    row = ROWS[name]
    mine = set(split(keymap[name]))
    for other in BINDINGS:
        if other.id == name or not _together(row, other):
            continue
        if mine & set(split(keys_of(other, keymap))):
            return other.id
    return None


def _together(one: KeyBinding, other: KeyBinding) -> bool:
    scopes = {one.scope, other.scope}
    return len(scopes) == 1 or "app" in scopes or scopes in TOGETHER


say_keys({})  # what is said before a person's key map is known
