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


_FUNCTION_KEYS = {f"f{number}" for number in range(1, 13)}
_TABS = {f"alt+{digit}" for digit in range(10)}
_PAGES = {"ctrl+pageup", "ctrl+pagedown"}
_SCROLLING = {"shift+pageup", "shift+home", "shift+end"}

TERMINALS: tuple[Terminal, ...] = (
    Terminal("GNOME Terminal", frozenset({"f1", "f10", "f11", *_PAGES, *_SCROLLING, *_TABS})),
    Terminal(
        "VS Code",
        frozenset(f"ctrl+{letter}" for letter in "befgjknopqrtw")
        | {"f1", "f3", "f5", "f6", "f10", "f11", "f12", "shift+enter", "ctrl+tab", "ctrl+comma"}
        | {*_PAGES, "shift+pageup"},
    ),
    Terminal(
        "macOS Terminal",
        frozenset({*_FUNCTION_KEYS, "pageup", "pagedown", "home", "end", *_PAGES})
        | {"shift+enter", "ctrl+space", "ctrl+tab", "ctrl+up", "ctrl+down", "ctrl+left", "ctrl+right"},
    ),
    Terminal(
        "Windows Terminal",
        frozenset({"f11", "alt+enter", "alt+f4", "shift+enter", "ctrl+comma", "ctrl+v", "ctrl+tab"})
        | {"ctrl+plus", "ctrl+minus"},
    ),
    Terminal("tmux", frozenset({"ctrl+b", "shift+enter", *_PAGES})),
)
WINDOWS_OWN = "ctrl+shift+"  # what the window of any of them does: copy, paste, a new tab
# Alt with a sign arrives as the sign, Alt with Enter as Enter, and every letter has a meaning: what is done
# without a second key, by id.
WITHOUT_KEY: dict[str, str] = {"prompt.newline": "`\\`, then Enter", "chat.tokens": "`/tokens`"}
