"""A run's result as files for other programs, with a model card beside them."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Literal

from engine.errors import InvalidRequest
from rwkv_chat.session.sharing import give_adapter, give_tuned, new_file
from rwkv_chat.session.shelf_convert import Conversion, format_of
from rwkv_chat.session.shelf_types import Converted
from rwkv_chat.session.state_types import Shared
from rwkv_chat.session.tune_folder import read_about
from rwkv_chat.session.tune_results import ADAPTERS
from rwkv_chat.texts import lookup, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
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
            FileInTheWay, InvalidRequest.
        """
        result = await self._results.result(tune)
        if what == "merged" or tune.method == "full":
            async for event in self._merged(tune, result, target, dtype):
                yield event
        elif tune.method in ADAPTERS:
            await asyncio.to_thread(give_adapter, result, target)
            yield await self._carded(tune, target)
        else:
            await asyncio.to_thread(give_tuned, result, target)
            yield await self._carded(tune, target)

    async def _merged(
        self, tune: Tune, result: Path, target: Path, dtype: str
    ) -> AsyncIterator[Progress | Shared]:
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
        yield await self._carded(tune, target)

    async def _carded(self, tune: Tune, target: Path) -> Shared:
        about = await asyncio.to_thread(read_about, tune.folder)
        nbytes = await asyncio.to_thread(_carded, target, card(tune, about))
        return Shared(str(target), nbytes, about.turns, 1)


def _carded(target: Path, text: str) -> int:
    """A card into a folder or beside a file; the bytes of what it is the card of. Raises: OSError."""
    place = target / CARD if target.is_dir() else target.with_name(f"{target.name}.md")
    new_file(place, lambda file: file.write(text.encode()))
    files = [target] if target.is_file() else [*target.iterdir()]
    return sum(each.stat().st_size for each in files)


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
