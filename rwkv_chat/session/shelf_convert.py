"""A model into another format, and beside a GGUF the Modelfile that Ollama wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.session.shelf_types import Converted

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from engine.types import Progress
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.session.steps import Stop


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is wished for.

    Attributes:
        format: a key of `engine.weights.export.WRITERS`.
        dtype: one of that writer's, "stored" for the source's own.
        adapter: merged on the way.  alpha: of a LoRA whose file says none.
        modelfile: write Ollama's Modelfile beside it, too.
        overwrite: a file that stands at the target is replaced when the new one is complete.
    """

    format: str
    dtype: str = "stored"
    adapter: Path | None = None
    alpha: float | None = None
    modelfile: bool = False
    overwrite: bool = False


def convert(
    card: ModelCard, target: Path, wish: Conversion, stop: Stop
) -> Generator[Progress | Converted, None, None]:
    """Progress("convert", bytes, of all) …, at the end `Converted`, unless stopped. Raises: EngineError."""
    from engine.weights import export

    written = yield from export.convert(
        card.path,
        target,
        wish.format,
        dtype=wish.dtype,
        adapter=wish.adapter,
        alpha=wish.alpha,
        overwrite=wish.overwrite,
        should_stop=stop,
    )
    if written is not None:
        yield Converted(written, written.stat().st_size)
