"""A run's result as files for other programs, with a model card beside them.

The card comes first: a result never stands anywhere without the word that it may reveal what it has read.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from engine.errors import InvalidRequest
from rwkv_chat.session.adapter_files import give_adapter
from rwkv_chat.session.sharing import give_tuned, nbytes, put_beside
from rwkv_chat.session.shelf_convert import Conversion, format_of
from rwkv_chat.session.shelf_types import Converted
from rwkv_chat.session.state_types import Shared
from rwkv_chat.session.tune_folder import read_about
from rwkv_chat.session.tune_results import ADAPTERS
from rwkv_chat.texts import lookup, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from engine.types import Progress
    from rwkv_chat.session.tune_folder import About
    from rwkv_chat.session.tune_results import Results
    from rwkv_chat.session.tune_types import Tune

What = Literal["result", "merged"]
CARD = "README.md"


class Exporting:
    """All of it raises what `Results.result` does, EngineError and OSError."""

    def __init__(
        self,
        results: Results,
        convert: Callable[[Path, Path, Conversion], AsyncIterator[Progress | Converted]],
    ) -> None:
        """`convert`: see `Shelf.convert`."""
        self._results, self._convert = results, convert

    async def export(
        self, tune: Tune, target: Path, what: What, dtype: str
    ) -> AsyncIterator[Progress | Shared]:
        """Progress …, and last what was written.

        Args:
            target: a file whose ending tells the form: of a tuned state .pth, .st or .safetensors, of a
                merged model those and .gguf. Of an adapter a folder that is not there yet.

        Raises:
            FileInTheWay: where the result or its card is to stand; InvalidRequest.
        """
        result = await self._results.result(tune)
        about = await asyncio.to_thread(read_about, tune.folder)
        text = card(tune, about).encode()
        if tune.method in ADAPTERS and what == "result":
            await asyncio.to_thread(give_adapter, result, target, {CARD: text})
        else:
            with _carded(target, text):
                async for event in self._file(tune, result, target, what, dtype):
                    yield event
        yield Shared(str(target), await asyncio.to_thread(nbytes, target), about.turns, 1)

    async def _file(
        self, tune: Tune, result: Path, target: Path, what: What, dtype: str
    ) -> AsyncIterator[Progress]:
        if tune.method == "state" and what == "result":
            await give_tuned(result, target)
            return
        async for event in self._merged(tune, result, target, dtype):
            yield event

    async def _merged(self, tune: Tune, result: Path, target: Path, dtype: str) -> AsyncIterator[Progress]:
        form = format_of(target)
        if form is None or tune.model is None:
            raise InvalidRequest(f"{target.suffix or target.name}: no form of a model's file")
        adapter = result if tune.method in ADAPTERS else None
        state = result if tune.method == "state" else None
        source = result if tune.method == "full" else tune.model
        wish = Conversion(form, dtype, adapter=adapter, state=state)
        async for event in self._convert(source, target, wish):
            if not isinstance(event, Converted):
                yield event


@contextmanager
def _carded(target: Path, text: bytes) -> Iterator[None]:
    """A card beside a file that is written inside; where that comes to nothing, no card either.

    Raises:
        FileInTheWay, DiskFailed, DiskFull, OSError.
    """
    from engine.weights.place import check_place

    place = target.with_name(f"{target.name}.md")
    check_place(target, len(text))
    put_beside(place, lambda: text)
    try:
        yield
    finally:
        if not target.exists():
            place.unlink(missing_ok=True)


def card(tune: Tune, about: About) -> str:
    """A model card: what it is, how it was made, and that it may reveal what it has read."""
    numbers = {
        "method": lookup(f"tune.method.{tune.method}") or tune.method,
        "model": about.model_name,
        "id": about.model_id,
        "conversations": about.conversations,
        "turns": about.turns,
        "steps": tune.step,
        "template": about.template,
        "name": tune.name,
    }
    parts = [say("tune.card.text", **numbers)]
    if tune.first is not None and tune.best is not None:
        base, tuned = (f"{math.exp(min(each, 50.0)):.2f}" for each in (tune.first, tune.best))
        parts.append(say("tune.card.losses", base=base, tuned=tuned))
    parts.append(say("tune.card.warning"))
    return "\n\n".join(parts) + "\n"
