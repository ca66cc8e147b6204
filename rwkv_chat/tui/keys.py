"""The table of keys as Textual wants it."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import KeyBinding, Scope, all_keys, scope, shown_keys


def textual_bindings(name: Scope) -> list[BindingType]:
    """Textual bindings of one scope, with ids that a person's key map may name."""
    return [_binding(row) for row in scope(name)]


def short(key: str) -> str:
    """As the footer shows it, where room is scarce: "ctrl+n" -> "^N"."""
    return shown_keys(key).replace("Ctrl+", "^").replace("Escape", "Esc").replace("Delete", "Del")


def _binding(row: KeyBinding) -> Binding:
    return Binding(
        all_keys(row),
        row.action,
        say(f"keys.{row.id}.label"),
        show=row.shown,
        key_display=short(row.keys.split(",")[0]),
        priority=row.priority,
        tooltip=say(f"keys.{row.id}.help"),
        id=row.id,
    )
