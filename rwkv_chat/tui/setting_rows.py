"""Settings and keys as rows of words, from the one declaration and the one table of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rwkv_chat.phrases import sentence, sentences
from rwkv_chat.plain_text import title
from rwkv_chat.setting_specs import GROUPS, SPECS, Spec
from rwkv_chat.texts import lookup, say
from rwkv_chat.tui.bindings import BINDINGS, KeyBinding, all_keys, shown_keys
from rwkv_chat.tui.keymap import keys_of
from rwkv_chat.tui.widgets.setting_list import SettingRow, SettingSection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rwkv_chat.settings import Settings

LONGEST = 60  # characters of a value


def sections(values: Settings, keymap: Mapping[str, str], typed: str = "") -> tuple[SettingSection, ...]:
    """All of them; of those, what has every word of `typed`."""
    every = [
        *(SettingSection(say(f"settings.group.{group}"), _settings(group, values)) for group in GROUPS),
        *_keys(values, keymap),
    ]
    words = typed.lower().split()
    fitting = [
        SettingSection(each.title, tuple(row for row in each.rows if _has(row, words))) for each in every
    ]
    return tuple(each for each in fitting if each.rows)


def _has(row: SettingRow, words: list[str]) -> bool:
    text = f"{row.key} {row.label} {row.value} {row.help}".lower()
    return all(word in text for word in words)


def _settings(group: str, values: Settings) -> tuple[SettingRow, ...]:
    specs = [each for each in SPECS.values() if each.group == group]
    return tuple(setting_row(each, getattr(values, each.name)) for each in specs)


def setting_row(spec: Spec, value: Any) -> SettingRow:
    default = say("app.settings.default", value=value_words(spec, spec.default))
    return SettingRow(
        f"set.{spec.name}",
        say(f"settings.{spec.name}.label"),
        value_words(spec, value),
        value != spec.default,
        say(f"settings.{spec.name}.help"),
        sentences(_range(spec), default, _when(spec)),
    )


def _range(spec: Spec) -> str:
    """What it can be, where its choices do not show it."""
    if spec.kind in ("whole", "number") or spec.forms:
        return say("app.settings.allowed", allowed=spec.allowed)
    return ""


def _when(spec: Spec) -> str:
    """When it holds, where that is not at once."""
    if spec.start:
        return say("app.settings.at_start")
    return say("app.settings.loads") if spec.loads else ""


def value_words(spec: Spec, value: Any) -> str:
    """A value as people read it."""
    if spec.kind == "switch":
        return say("settings.on" if value else "settings.off")
    if value == "":
        return lookup(f"settings.no_choice.{spec.name}") or ""
    if spec.name == "language":
        return lookup("settings.language_name", value) or value
    return title(spec.written(value), LONGEST)


def _keys(values: Settings, keymap: Mapping[str, str]) -> list[SettingSection]:
    """The keys of each part of the program."""
    group = say("settings.group.keys")
    scopes = dict.fromkeys(each.scope for each in BINDINGS)
    return [
        SettingSection(
            say("app.settings.keys_of", group=group, part=say(f"app.help.{name}")),
            tuple(_key(each, values, keymap) for each in BINDINGS if each.scope == name),
        )
        for name in scopes
    ]


def _key(row: KeyBinding, values: Settings, keymap: Mapping[str, str]) -> SettingRow:
    return SettingRow(
        f"key.{row.id}",
        say(f"keys.{row.id}.label"),
        shown_keys(keys_of(row, keymap)),
        row.id in values.keymap,
        sentence(say(f"keys.{row.id}.help")),
        say("app.settings.default", value=shown_keys(all_keys(row))),
    )
