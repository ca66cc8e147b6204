"""The line of keys at the foot: as many as there is room for, and always those for help and for leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from rwkv_chat.tui.bindings import BINDINGS
from rwkv_chat.tui.keys import short

if TYPE_CHECKING:
    from textual import events
    from textual.binding import Binding
    from textual.screen import Screen

ALWAYS = ("app.help", "app.quit")
PLACES = {row.id: place for place, row in enumerate(BINDINGS)}
GAP = "  "


class KeyFooter(Static):
    """Follows the keys that work where the focus is; a click does what the key does."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[tuple[str, Content]] = []  # as they are shown

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_resize(self, _: events.Resize) -> None:
        self._draw()

    def _changed(self, screen: Screen[object]) -> None:
        if screen is self.screen and self.is_attached and screen.app.app_focus:
            self._draw()

    def _draw(self) -> None:
        """Keys in the order of the table; what does not fit is in the help."""
        shown = self._shown()
        last = [(each.key, _words(each)) for each in shown if each.id in ALWAYS]
        room = self.content_size.width - sum(words.cell_length + len(GAP) for _, words in last)
        first: list[tuple[str, Content]] = []
        for each in (each for each in shown if each.id not in ALWAYS):
            words = _words(each)
            room -= words.cell_length + len(GAP)
            if room < 0:
                break
            first.append((each.key, words))
        self._keys = [*first, *last]
        self.update(Content(GAP).join(each for _, each in self._keys), layout=False)

    async def on_click(self, event: events.Click) -> None:
        event.stop()
        at = event.get_content_offset(self)
        right = 0
        for key, words in self._keys:
            left, right = right, right + words.cell_length
            if at is not None and left <= at.x < right:
                self.app.simulate_key(key)
            right += len(GAP)

    def _shown(self) -> list[Binding]:
        """One binding for each action that can be done now."""
        found: dict[str, Binding] = {}
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show and enabled:
                found.setdefault(binding.action, binding)
        if self.screen.is_modal:  # the app's keys are not among its own
            for _, binding, _, _ in self.app.screen_stack[0].active_bindings.values():
                if binding.id in ALWAYS:
                    found.setdefault(binding.action, binding)
        return sorted(found.values(), key=_place)


def _place(binding: Binding) -> int:
    """Where the table has it: a key map would have moved it to the end."""
    return PLACES.get(binding.id or "", len(PLACES))


def _words(binding: Binding) -> Content:
    key = Content.styled(binding.key_display or short(binding.key), "bold $footer-key-foreground")
    return key + Content.styled(f" {binding.description}", "$muted")
