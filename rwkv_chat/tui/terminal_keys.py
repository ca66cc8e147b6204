"""Keys that terminals keep for themselves, as far as is known; what they do not pass on, no program sees.

A test holds the table of keys against this one: every action has a key that each of these passes on. What a
person has configured may differ, and every action is in the command palette, too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal, or what runs in one.

    Attributes:
        name: as people call it.
        keeps: Textual names of keys that do not arrive, or arrive as others.
    """

    name: str
    keeps: frozenset[str]


_FUNCTION_KEYS = frozenset(f"f{number}" for number in range(1, 13))

TERMINALS: tuple[Terminal, ...] = (
    Terminal(
        "GNOME Terminal", frozenset({"f1", "f10", "f11", "ctrl+pageup", "ctrl+pagedown", "shift+pageup"})
    ),
    Terminal(
        "VS Code",
        frozenset({"f1", "f5", "f6", "f10", "f11", "f12", "ctrl+e", "ctrl+g", "ctrl+n", "ctrl+o", "ctrl+p"})
        | frozenset({"ctrl+q", "ctrl+r", "ctrl+t", "ctrl+pageup", "ctrl+pagedown", "shift+pageup"}),
    ),
    Terminal(
        "macOS Terminal",
        _FUNCTION_KEYS | {"pageup", "pagedown", "ctrl+pageup", "ctrl+pagedown", "shift+enter"},
    ),
    Terminal("Windows Terminal", frozenset({"f11", "alt+enter", "shift+enter", "ctrl+comma", "ctrl+v"})),
    Terminal("tmux", frozenset({"ctrl+b", "shift+enter", "ctrl+pageup", "ctrl+pagedown"})),
)
