"""What the Models screen looks up when asked: a file's header, and what the hub holds beyond the list."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.weights.catalog_entry import HUB
from rwkv_chat.explain import sentence
from rwkv_chat.paths import hub_endpoint
from rwkv_chat.texts import say
from rwkv_chat.tui.screens.shelf import ShelfScreen, names_of
from rwkv_chat.tui.screens.telling import foreseen
from rwkv_chat.tui.shelf_rows import key_of
from rwkv_chat.tui.working import start_work

if TYPE_CHECKING:
    from rwkv_chat.session.shelf_types import Info, Offer, ShelfEntry
    from rwkv_chat.tui.desk import Desk

log = logging.getLogger(__name__)

REST_SECONDS = 0.15  # a row that is only passed on the way is not looked into


class LookingScreen(ShelfScreen):
    """Attributes:
    infos: what the headers of models tell, by key; of those that were highlighted since the last reading.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.infos: dict[str, Info] = {}

    def reload(self, select: str | None = None) -> None:
        self.infos.clear()  # a layout may have been written meanwhile, or a file changed
        super().reload(select)

    def look_into(self, entry: ShelfEntry) -> None:
        """Read what the header of a model tells, in the background; only of the last one asked for."""
        if entry.readable and key_of(entry) not in self.infos:
            start_work(self, partial(self._look_into, entry), group="info", exclusive=True)

    async def _look_into(self, entry: ShelfEntry) -> None:
        await asyncio.sleep(REST_SECONDS)
        try:
            self.infos[key_of(entry)] = await self.shelf.info(entry.path)
        except foreseen() as error:  # the row says what is wrong with it
            log.info("a model could not be looked into: %s", type(error).__name__)
        else:
            self.show_models()

    def look_online(self) -> None:
        """Ask the hub for models that the list does not know."""
        host = urlsplit(hub_endpoint() or HUB).netloc
        self.say_outcome(say("app.models.asking", host=host))
        start_work(self, partial(self._look_online, host), group="online", exclusive=True)

    async def _look_online(self, host: str) -> None:
        known = {each.name for each in self.offers}
        try:
            self.offers = await self.shelf.offers(online=True)
        except foreseen() as error:
            self.say_outcome(sentence(error), wrong=True)
            return
        new = [each for each in self.offers if each.live and each.name not in known]
        self.say_outcome(_found(new, host))
        self.show_models(key_of(new[0]) if new else None)


def _found(new: list[Offer], host: str) -> str:
    if not new:
        return say("app.models.nothing_online", host=host)
    return say("app.models.found_online", host=host, names=names_of(new))
