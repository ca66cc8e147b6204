"""What is done when nobody waits: the daily copy of the library, the end of the trash and of copies
of models that were broken off.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import EngineError
from rwkv_chat.library import backup, erase, index, ladders, threads
from rwkv_chat.library.errors import LibraryError
from rwkv_chat.session.shelf_copy import sweep

if TYPE_CHECKING:
    from rwkv_chat.library.database import Library
    from rwkv_chat.paths import Paths
    from rwkv_chat.session.border import EngineLike

SETTLE_SECONDS = 15.0
log = logging.getLogger(__name__)


async def keep_house(
    library: Library, engine: EngineLike, paths: Paths, settle: float = SETTLE_SECONDS
) -> None:
    """Once after the start; a failure is logged and tried again at the next start."""
    try:
        engine.keep(await library.run(threads.tip_keys))  # until more is told
        await tell_ladders(library, engine)
        engine.keep(())
        await asyncio.sleep(settle)
        await asyncio.to_thread(backup.rotate, paths.database, paths.backups)
        await asyncio.to_thread(sweep, paths.models)
        await asyncio.to_thread(sweep_runs, paths)
        if unneeded := await library.run(erase.purge):
            engine.forget(unneeded)
            await settle_index(library)
    except (LibraryError, EngineError, OSError) as error:
        log.warning("housekeeping failed: %s", type(error).__name__)


def sweep_runs(paths: Paths) -> None:
    from rwkv_chat.session.tune_runs import Runs

    Runs(paths.tunes).sweep()


async def tell_ladders(library: Library, engine: EngineLike) -> None:
    """Tell the store where in their conversations the states stand that it has; a conversation at a time:
    others may ask between.
    """
    owners = await library.run(ladders.owners, tuple(await asyncio.to_thread(engine.saved)))
    for tree in sorted({each.tree for each in owners}):
        engine.tell(await library.run(ladders.of_tree, tree))


async def settle_index(library: Library) -> None:
    """Leave nothing of what was erased in the search index, a little at a time: others may write between."""
    more = await library.run(index.settle, begin=True)
    while more:
        more = await library.run(index.settle)
