"""A screen over the shelf of models: what is there, and everything done to one of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from textual.screen import Screen

from engine.types import Progress
from rwkv_chat.explain import explain, sentence, size
from rwkv_chat.phrases import listed
from rwkv_chat.plain_text import title
from rwkv_chat.room import free_bytes
from rwkv_chat.session.shelf_convert import Conversion, format_of
from rwkv_chat.session.shelf_types import Found, Offer, ShelfEntry
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.convert_dialog import AskTarget
from rwkv_chat.tui.screens.dialogs import Confirm
from rwkv_chat.tui.screens.import_dialog import AskPath
from rwkv_chat.tui.screens.telling import foreseen, telling
from rwkv_chat.tui.shelf_details import replacement
from rwkv_chat.tui.shelf_rows import HERE, key_of
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rwkv_chat.tui.desk import Desk
    from rwkv_chat.tui.pulls import PullState
    from rwkv_chat.tui.screens.import_dialog import Import

Model = ShelfEntry | Offer
MOST_NAMED = 5
TELL_SECONDS = 0.25  # how often a growing number is drawn anew


class ShelfScreen(Screen[None]):
    """Base of the Models screen, which says how models are shown (`show_models`, `say_outcome`, `chosen`).

    Attributes:
        entries, offers: the shelf as it was last read.  free: bytes free for downloads, None while unknown.
        verifying: by key, how far the reading of a file is, 0…1.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.shelf = desk.session.shelf
        self.entries: tuple[ShelfEntry, ...] = ()
        self.offers: tuple[Offer, ...] = ()
        self.free: int | None = None
        self.verifying: dict[str, float] = {}

    def show_models(self, select: str | None = None) -> None:
        """Draw what was read; `select` is the key of a row to go to."""
        raise NotImplementedError

    def say_outcome(self, text: str, *, wrong: bool = False) -> None:
        raise NotImplementedError

    def chosen(self) -> Model | None:
        """The highlighted model."""
        raise NotImplementedError

    @property
    def in_use(self) -> str:
        """Key of the model in use."""
        return f"{HERE}{self.desk.session.models.current.path}"

    def find(self, key: str | None) -> Model | None:
        models: tuple[Model, ...] = (*self.entries, *self.offers)
        return next((each for each in models if key_of(each) == key), None)

    # ---------------------------------------------------------------- reading

    def reload(self, select: str | None = None) -> None:
        """Read the shelf again, off the event loop."""
        start_work(self, partial(self._reload, select), group="reload", exclusive=True)

    @telling
    async def _reload(self, select: str | None) -> None:
        self.entries = await self.shelf.entries()
        self.offers = await self.shelf.offers()
        self.free = await asyncio.to_thread(free_bytes, self.desk.session.paths.models)
        self.show_models(select)

    # ---------------------------------------------------------------- use

    def use(self, path: Path | None, name: str) -> None:
        """Use another model (None: the built-in guide); the one in use stays if it cannot be read."""
        self.say_outcome(say("app.models.checking"))
        start_work(self, partial(self._use, path, name), group="use", exclusive=True)

    async def _use(self, path: Path | None, name: str) -> None:
        try:
            await self.desk.session.models.use(path)
        except foreseen() as error:
            self.say_outcome(sentence(error), wrong=True)
            return
        self.desk.model_chosen()
        self.say_outcome(say("app.models.chosen", model=title(name)))

    # ---------------------------------------------------------------- downloads

    def pull(self, name: str) -> None:
        """Download a model, or go on with one; nothing new where it runs."""
        state = self.desk.pulls.states.get(name)
        if state is not None and state.active:
            return
        offer = next((each for each in self.offers if each.name == name), None)
        known = (offer.partial, offer.entry.size) if offer is not None else ()
        try:
            self.desk.pulls.follow(name, self.shelf.pull(name), *known)
        except foreseen() as error:
            self.say_outcome(sentence(error), wrong=True)

    def pull_ended(self, state: PullState) -> None:
        """A download is here, paused or broken: read the shelf anew."""
        if state.phase == "done" and all(each.name != state.name for each in self.offers):
            self.say_outcome(say("app.models.pulled_file", file=title(state.name)))
        elif state.phase == "done":
            self.say_outcome(say("app.models.pulled", model=title(state.name)))
        elif state.error is not None:
            trouble = explain(state.error).title
            self.say_outcome(
                say("app.models.pull_failed", model=title(state.name), trouble=trouble), wrong=True
            )
        self.reload()

    def replace_pull(self, name: str) -> None:
        """Download what is offered in place of a model that is gone."""
        state = self.desk.pulls.states.get(name)
        other = replacement(state.error) if state is not None else ""
        if other:
            self.desk.pulls.forget(name)
            self.pull(other)
            self.show_models(f"offer:{other}")

    # ---------------------------------------------------------------- what is here

    def import_models(self) -> None:
        self.app.push_screen(AskPath(), self._import_asked)

    def _import_asked(self, answer: Import | None) -> None:
        if answer is not None:
            self.say_outcome(say("app.models.checking"))
            start_work(self, partial(self._import, answer), group="import", exclusive=True)

    async def _import(self, answer: Import) -> None:
        found: list[Found] = []
        try:
            async for event in self.shelf.import_(answer.path, copy=answer.copy):
                if isinstance(event, Progress):
                    share = event.done / event.total if event.total else 0
                    self.say_outcome(say("app.models.copying", share=f"{share:.0%}"))
                else:
                    found.append(event)
        except foreseen() as error:
            self.say_outcome(sentence(error), wrong=True)
            return
        self._imported(found)

    def _imported(self, found: list[Found]) -> None:
        entries = [each.entry for each in found if each.entry is not None]
        errors = [each.error for each in found if each.error is not None]
        if len(found) == len(entries) == 1:
            self.say_outcome(say("app.models.imported_one", model=title(entries[0].name)))
        elif entries:
            self.say_outcome(say("app.models.imported", names=names_of(entries)) + _left_out(found))
        elif len(errors) == 1:
            self.say_outcome(sentence(errors[0]), wrong=True)
        else:
            self.say_outcome(say("app.models.imported_none"), wrong=True)
        self.reload(key_of(entries[0]) if entries else None)

    def verify(self, entry: ShelfEntry) -> None:
        """Read the whole file and compare its checksum, in the background."""
        key = key_of(entry)
        if key not in self.verifying:
            start_work(self, partial(self._verify, entry, key), group=f"verify {key}")

    async def _verify(self, entry: ShelfEntry, key: str) -> None:
        self.verifying[key] = told = 0.0
        self.show_models()
        try:
            async for event in self.shelf.verify(entry.path):
                if isinstance(event, Progress) and monotonic() - told > TELL_SECONDS:
                    self.verifying[key], told = _share(event), monotonic()
                    self.show_models()
            self.say_outcome(say("app.models.verified", model=title(entry.name)))
        except foreseen() as error:
            self.say_outcome(sentence(error), wrong=True)
        finally:
            del self.verifying[key]
            self.reload()

    def convert_model(self, entry: ShelfEntry) -> None:
        """Ask for a place, then write the model there in the format that the name ends with."""
        self.app.push_screen(AskTarget(entry), partial(self._convert_asked, entry))

    def _convert_asked(self, entry: ShelfEntry, target: Path | None) -> None:
        if target is not None:
            start_work(self, partial(self._convert, entry, target), group="convert")

    async def _convert(self, entry: ShelfEntry, target: Path) -> None:
        file = title(target.name)
        wish = Conversion(format_of(target) or "", modelfile=True)
        self.say_outcome(say("app.models.converting", file=file, share=f"{0:.0%}"))
        try:
            async for event in self.shelf.convert(entry.path, target, wish):
                if isinstance(event, Progress):
                    share = event.done / event.total if event.total else 0
                    self.say_outcome(say("app.models.converting", file=file, share=f"{share:.0%}"))
                else:
                    beside = say("app.models.with_modelfile") if event.modelfile else ""
                    written = say("app.models.converted_to", file=file, size=size(event.nbytes))
                    self.say_outcome(written + beside)
        except foreseen() as error:
            self.say_outcome(sentence(error), wrong=True)

    def remove_model(self, entry: ShelfEntry) -> None:
        """Ask, then take it from the list; files that are ours are deleted."""
        if entry.source == "built-in":
            self.say_outcome(say("app.models.remove_builtin"), wrong=True)
            return
        if key_of(entry) == self.in_use and not entry.missing:
            self.say_outcome(say("app.models.remove_in_use"), wrong=True)
            return
        name, yes = title(entry.name), say("app.models.action.remove")
        if entry.ours:
            question = say("app.models.remove_files", model=name, size=size(entry.nbytes))
            yes = say("app.models.delete_files")
        else:
            question = say("app.models.remove_entry", model=name, path=title(str(entry.path), 300))
        self.app.push_screen(Confirm(question, yes), lambda sure: self._remove_asked(entry) if sure else None)

    def _remove_asked(self, entry: ShelfEntry) -> None:
        start_work(self, partial(self._remove, entry), group="remove")

    async def _remove(self, entry: ShelfEntry) -> None:
        try:
            await self.shelf.remove(entry, files=entry.ours)
        except foreseen() as error:
            self.say_outcome(sentence(error), wrong=True)
        else:
            self.desk.pulls.forget(entry.offer)
            self.say_outcome(say("app.models.removed", model=title(entry.name)))
        self.reload()


def names_of(models: Sequence[Model]) -> str:
    """The first few, and how many more."""
    names = listed(title(each.name) for each in models[:MOST_NAMED])
    more = len(models) - MOST_NAMED
    return say("app.models.more_names", names=names, count=more) if more > 0 else names


def _left_out(found: list[Found]) -> str:
    """How many of which kind an import did not take, "" for none."""
    counted = Counter(each.kind.replace("-", "_") for each in found if each.entry is None)
    kinds = listed(say(f"app.models.left_out.{kind}", count=count) for kind, count in counted.items())
    return say("app.models.left_out_are", kinds=kinds) if kinds else ""


def _share(event: Progress) -> float:
    """Of a verification: the first half is hashing, the second reading numbers."""
    half = event.done / event.total / 2 if event.total else 0.0
    return half + 0.5 * (event.task == "read")
