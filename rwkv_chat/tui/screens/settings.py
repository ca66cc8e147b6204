"""The settings and the keys: each by its kind, changed in place, in force at once."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static
from textual.worker import WorkerError

from rwkv_chat.explain import sentence
from rwkv_chat.phrases import sentences
from rwkv_chat.plain_text import title
from rwkv_chat.setting_specs import SPECS, SettingRefused, Spec
from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import shown_keys
from rwkv_chat.tui.keymap import ROWS as KEY_ROWS
from rwkv_chat.tui.keymap import keys_of, trouble, trouble_words
from rwkv_chat.tui.keys import textual_bindings
from rwkv_chat.tui.screens.dialogs import Ask
from rwkv_chat.tui.screens.setting_dialogs import Choose, PressKey
from rwkv_chat.tui.setting_rows import SettingRow, sections, value_words
from rwkv_chat.tui.widgets.key_footer import KeyFooter
from rwkv_chat.tui.widgets.setting_list import SettingList
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from textual.app import ComposeResult
    from textual.worker import Worker

    from rwkv_chat.settings import Settings
    from rwkv_chat.tui.desk import Desk


class SettingsScreen(Screen[None]):
    """The mode behind F12."""

    CSS_PATH = "settings.tcss"
    BINDINGS = textual_bindings("settings")
    AUTO_FOCUS = "#settings"

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._rows: dict[str, SettingRow] = {}
        self._writing: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="settings-top"):
            yield Static(say("app.settings.title"), classes="title", id="settings-title", markup=False)
            yield Input(placeholder=say("app.settings.search"), id="settings-search", compact=True)
        yield SettingList(id="settings")
        yield Static(id="setting-help", markup=False)
        yield Static(id="setting-outcome", markup=False)
        path = title(str(self.desk.session.paths.settings_file), 300)
        yield Static(Content(say("app.settings.file", path=path)), id="settings-file")
        yield KeyFooter()

    async def recompose(self) -> None:
        """Everything in other words, where it was."""
        current = self.query_one(SettingList).current
        await super().recompose()
        self.show(current)
        self.query_one(SettingList).focus()

    def on_screen_resume(self) -> None:
        self.show()

    # ---------------------------------------------------------------- what is shown

    @property
    def values(self) -> Settings:
        return self.desk.session.settings

    def show(self, select: str | None = None) -> None:
        typed = self.query_one("#settings-search", Input).value
        found = sections(self.values, self.desk.keymap, typed)
        self._rows = {row.key: row for each in found for row in each.rows}
        self.query_one(SettingList).show(found, select)

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        outcome = self.query_one("#setting-outcome", Static)
        outcome.set_class(wrong, "-wrong")
        outcome.update(Content(text))

    def on_keyed_list_looked(self) -> None:
        row = self._rows.get(self.query_one(SettingList).current or "")
        text = sentences(row.help, row.note) if row is not None else say("app.settings.none")
        self.query_one("#setting-help", Static).update(Content(text))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.say_outcome("")
        self.show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(SettingList).focus()

    def key_down(self) -> None:
        """From the search into what it found."""
        if self.query_one("#settings-search", Input).has_focus:
            self.query_one(SettingList).focus()

    # ---------------------------------------------------------------- changing

    async def on_keyed_list_chosen(self, event: SettingList.Chosen) -> None:
        await self._last_written()
        self.change(event.key)

    def change(self, key: str) -> None:
        """What Enter does on a row: turn a switch, or ask for another value or key."""
        self.say_outcome("")
        kind, _, name = key.partition(".")
        if kind == "key":
            self.app.push_screen(PressKey(self._rows[key].label), partial(self._key_pressed, name))
            return
        spec = SPECS[name]
        value, label = getattr(self.values, name), say(f"settings.{name}.label")
        if spec.kind == "switch":
            self.set(spec, not value)
        elif spec.kind == "choice":
            options = [(each, value_words(spec, each)) for each in spec.choices]
            self.app.push_screen(Choose(label, options, value), partial(self._chosen, spec))
        else:
            self.app.push_screen(Ask(label, spec.written(value)), partial(self._typed, spec))

    def _chosen(self, spec: Spec, value: str | None) -> None:
        if value is not None:
            self.set(spec, value)

    def _typed(self, spec: Spec, text: str | None) -> None:
        if text is None:
            return
        try:
            self.set(spec, spec.read(text))
        except SettingRefused as error:
            self.say_outcome(sentence(error), wrong=True)

    def _key_pressed(self, name: str, key: str | None) -> None:
        if key is None:
            return
        keymap = dict(self.values.keymap)
        found = trouble(name, key, keymap)
        if found is not None:
            self.say_outcome(trouble_words(found), wrong=True)
            return
        self._write(keymap={**keymap, name: key})
        keys = shown_keys(keys_of(KEY_ROWS[name], self.desk.keymap))
        self.say_outcome(say("app.settings.key_set", label=say(f"keys.{name}.label"), keys=keys))

    def set(self, spec: Spec, value: Any) -> None:
        """Make a value hold, and say so."""
        self._write(**{spec.name: value})
        words = value_words(spec, value) or say("app.settings.nothing")
        done = "set_at_start" if spec.start else "set"
        self.say_outcome(say(f"app.settings.{done}", label=say(f"settings.{spec.name}.label"), value=words))

    def _write(self, **values: Any) -> None:
        self._work(partial(self._changed, values))

    def _work(self, write: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._writing = start_work(self, write, group="settings")

    async def _last_written(self) -> None:
        """Keys come faster than a disk writes: the next change begins from what the last one has made."""
        if self._writing is not None:
            with suppress(WorkerError):
                await self._writing.wait()

    async def _changed(self, values: dict[str, Any]) -> None:
        self._written(await self.desk.change(**values))

    async def _reset(self, name: str) -> None:
        self._written(await self.desk.reset(name))

    def _written(self, error: OSError | None) -> None:
        """What was changed holds; where it is not on the disk, that is said."""
        self.show()
        if error is not None:
            self.say_outcome(sentence(error), wrong=True)

    # ---------------------------------------------------------------- keys

    async def action_change(self) -> None:
        await self._last_written()
        if (current := self.query_one(SettingList).current) is not None:
            self.change(current)

    async def action_step(self, by: int) -> None:
        """The next or the previous value of the highlighted setting."""
        await self._last_written()
        kind, _, name = (self.query_one(SettingList).current or "").partition(".")
        if kind != "set" or SPECS[name].kind == "text":
            return
        spec, value = SPECS[name], getattr(self.values, name)
        if spec.kind == "switch":
            self.set(spec, not value)
        elif spec.kind == "choice":
            at = spec.choices.index(value) if value in spec.choices else 0
            self.set(spec, spec.choices[(at + by) % len(spec.choices)])
        else:
            self.set(spec, spec.stepped(value, by))

    def action_reset(self) -> None:
        kind, _, name = (self.query_one(SettingList).current or "").partition(".")
        if not name:
            return
        if kind == "key":
            self._write(keymap={id_: keys for id_, keys in self.values.keymap.items() if id_ != name})
        else:
            self._work(partial(self._reset, name))
        self.say_outcome(say("app.settings.was_reset"))

    def action_search(self) -> None:
        self.query_one("#settings-search", Input).focus()

    def action_back(self) -> None:
        """Out of the search first, then to the chat."""
        box = self.query_one("#settings-search", Input)
        if box.has_focus or box.value:
            box.value = ""
            self.query_one(SettingList).focus()
        else:
            self.say_outcome("")
            self.app.switch_mode("chat")
