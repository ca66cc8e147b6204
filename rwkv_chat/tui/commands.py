"""The command palette reaches everything: conversations, models, personas, themes, settings, and every action
of the table of keys.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from rwkv_chat.phrases import labelled
from rwkv_chat.plain_text import title
from rwkv_chat.setting_specs import SPECS
from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS, KeyBinding, shown_keys
from rwkv_chat.tui.keymap import keys_of, scopes_of
from rwkv_chat.tui.problems import ACTIONS
from rwkv_chat.tui.setting_rows import value_words
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rwkv_chat.tui.desk import Desk

LEFT_OUT = {"prompt.send", "prompt.newline", "app.palette"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: what it is called, what it does, and the doing."""

    label: str
    help: str
    run: Callable[[], Any]


class Entries(Provider):
    """Entries that are made once, when the palette opens, and searched by their words."""

    shown_at_once = False

    async def startup(self) -> None:
        self.entries = await self.find()

    async def find(self) -> list[Entry]:
        raise NotImplementedError

    @property
    def desk(self) -> Desk:
        app: Any = self.app  # an app of ours: Textual knows it as any app
        return app.desk

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for each in self.entries:
            score = max(matcher.match(each.label), matcher.match(f"{each.label} {each.help}") * 0.9)
            if score > 0:
                yield Hit(score, Content(each.label), each.run, help=each.help)


class Actions(Entries):
    """Everything that a key does, by name."""

    shown_at_once = True

    async def find(self) -> list[Entry]:
        here = scopes_of(self.screen)
        rows = [each for each in BINDINGS if each.scope in here and each.id not in LEFT_OUT]
        return [self._entry(each) for each in rows if self._can(each.action)]

    def _entry(self, row: KeyBinding) -> Entry:
        keys = shown_keys(keys_of(row, self.desk.keymap))
        text = f"{say(f'keys.{row.id}.help')}  ({keys})"
        return Entry(say(f"keys.{row.id}.label"), text, partial(self._run, row.action))

    def _can(self, action: str) -> bool:
        """Whether the screen below, or the app, has the action."""
        method = f"action_{action.partition('(')[0]}"
        return hasattr(self.screen, method) or hasattr(self.app, method)

    async def _run(self, action: str) -> None:
        await self.app.run_action(action, self.screen)


class Problems(Entries):
    """What can be done about a problem."""

    shown_at_once = True

    async def find(self) -> list[Entry]:
        return [
            Entry(say(f"app.problem.{name}"), say(f"app.problem.{name}_help"), partial(self._run, name))
            for name in ACTIONS
        ]

    async def _run(self, name: str) -> None:
        await self.app.run_action(f"app.problem({name!r})")


class Conversations(Entries):
    """Chats by their titles, from any screen."""

    async def find(self) -> list[Entry]:
        threads = await self.desk.session.chats.threads() if self.desk.prepared else ()
        return [
            Entry(say("app.palette.chats", title=title(each.title)), say("app.palette.chat_help"), run)
            for each in threads
            for run in [partial(self._go, each.id)]
        ]

    async def _go(self, thread_id: str) -> None:
        self.app.switch_mode("chat")
        await self.desk.go(thread_id, "")


class Models(Entries):
    """Models that are here, to be used; those that can be downloaded are on their own screen."""

    async def find(self) -> list[Entry]:
        entries = await self.desk.session.shelf.entries() if self.desk.prepared else ()
        return [
            Entry(say("app.palette.models", name=title(each.name)), say("app.palette.model_help"), run)
            for each in entries
            if not each.missing
            for run in [partial(self._use, None if each.source == "built-in" else each.path)]
        ]

    def _use(self, path: Path | None) -> None:
        start_work(self.app, partial(self.desk.use, path), group="use", exclusive=True)


class Personas(Entries):
    """Personas, to begin a chat from."""

    async def find(self) -> list[Entry]:
        personas = await self.desk.session.states.list() if self.desk.prepared else ()
        return [
            Entry(say("app.palette.personas", name=title(each.name)), say("app.palette.persona_help"), run)
            for each in personas
            for run in [partial(self._begin, each.id)]
        ]

    async def _begin(self, persona_id: str) -> None:
        thread = await self.desk.session.states.begin(persona_id)
        self.app.switch_mode("chat")
        await self.desk.go(thread.id, "")


class Presets(Entries):
    """Sampling presets: named ways to draw tokens."""

    async def find(self) -> list[Entry]:
        from rwkv_chat.presets import own, presets

        shipped = await asyncio.to_thread(presets)
        every = (*await asyncio.to_thread(own, self.desk.session.paths.presets), *shipped)
        return [
            Entry(say("app.palette.presets", name=title(each.title)), say("app.palette.preset_help"), run)
            for each in every
            for run in [partial(self._take, each.values)]
        ]

    def _take(self, values: Mapping[str, Any]) -> None:
        start_work(self.app, partial(self.desk.take_sampling, values))


class Choices(Entries):
    """Settings that are chosen from a few values, themes and languages among them: each value is an entry."""

    async def find(self) -> list[Entry]:
        found: list[Entry] = []
        for spec in SPECS.values():
            if not spec.group:
                continue
            label, text = say(f"settings.{spec.name}.label"), say(f"settings.{spec.name}.help")
            values = (True, False) if spec.kind == "switch" else spec.choices
            found += [
                Entry(labelled(label, value_words(spec, each)), text, partial(self._set, spec.name, each))
                for each in values
            ]
        return found

    def _set(self, name: str, value: object) -> None:
        start_work(self.app, partial(self.desk.change, **{name: value}))


class Everything(Entries):
    """All of them, in one order: entries that fit equally well stand as they are found."""

    async def find(self) -> list[Entry]:
        found: list[Entry] = []
        self.at_once: list[Entry] = []
        for kind in PARTS:
            part = kind(self.screen)
            entries = await part.find()
            found += entries
            self.at_once += entries if part.shown_at_once else ()
        return found

    async def discover(self) -> Hits:
        for each in self.at_once:
            yield DiscoveryHit(each.label, each.run, help=each.help)


PARTS: tuple[type[Entries], ...] = (Actions, Problems, Conversations, Models, Personas, Presets, Choices)
