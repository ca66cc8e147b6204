"""A model into another format, and beside a GGUF the Modelfile that Ollama wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.session.shelf_types import Converted
from rwkv_chat.templates import template

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from engine.types import Progress
    from engine.weights.turns import Turns
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.session.steps import Stop
    from rwkv_chat.templates import Template


# as `engine.weights.export.WRITERS`, without loading torch: a test compares them
FORMATS = {"pth": ".pth", "safetensors": ".safetensors", "web-rwkv": ".st", "gguf": ".gguf"}


def format_of(target: Path) -> str | None:
    """The format that a file of this name usually has."""
    return next((name for name, suffix in FORMATS.items() if suffix == target.suffix.lower()), None)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is wished for.

    Attributes:
        format: a key of `engine.weights.export.WRITERS`.
        dtype: one of that writer's, "stored" for the source's own.
        adapter: merged on the way.  alpha: of a LoRA whose file says none.
        state: a tuned state, merged in.
        modelfile: write Ollama's Modelfile beside it, too.
        overwrite: a file that stands at the target is replaced when the new one is complete.
    """

    format: str
    dtype: str = "stored"
    adapter: Path | None = None
    alpha: float | None = None
    modelfile: bool = False
    overwrite: bool = False
    state: Path | None = None


def convert(
    card: ModelCard, target: Path, wish: Conversion, stop: Stop
) -> Generator[Progress | Converted, None, None]:
    """Progress("convert", bytes, of all) …, at the end `Converted`, unless stopped. Raises: EngineError."""
    from engine.weights import export
    from engine.weights.gguf_modelfile import modelfile_path, write_modelfile
    from engine.weights.place import check_place

    turns, overwrite = _turns(template(card.template)), wish.overwrite
    wanted = wish.modelfile and wish.format == "gguf"
    if wanted:
        check_place(modelfile_path(target), 0, overwrite=overwrite)
    written = yield from export.convert(
        card.path,
        target,
        wish.format,
        dtype=wish.dtype,
        adapter=wish.adapter,
        alpha=wish.alpha,
        tuned=wish.state,
        turns=turns,
        overwrite=overwrite,
        should_stop=stop,
    )
    if written is not None:
        beside = write_modelfile(written, turns, card.sampling, overwrite=overwrite) if wanted else None
        yield Converted(written, written.stat().st_size, beside)


# a model's format → the form of a tuned state in files of that kind
STATE_FORMS = {"pth": "pth", "web-rwkv": "web-rwkv", "safetensors": "fla"}


def convert_state(source: Path, target: Path, wish: Conversion) -> Converted | None:
    """A tuned state in another program's form; None if `source` is none. Raises: EngineError."""
    from engine.errors import InvalidRequest
    from engine.weights.export_tuned import convert_tuned_state
    from engine.weights.kinds import kind_of

    if kind_of(source) != "tuned-state":
        return None
    if wish.format not in STATE_FORMS:
        raise InvalidRequest(f"{wish.format} has no place for a tuned state alone")
    convert_tuned_state(source, target, STATE_FORMS[wish.format], overwrite=wish.overwrite)
    return Converted(target, target.stat().st_size)


def given_state(source: Path, target: Path, form: str, stop: Stop) -> Generator[Path, None, None]:  # noqa: ARG001  it is too small to be stopped
    """A tuned state in a form of `STATE_FORMS`; imports torch. Raises: EngineError."""
    from engine.weights.export_tuned import convert_tuned_state

    convert_tuned_state(source, target, form)
    yield target


def _turns(spelling: Template) -> Turns:
    """The model's own template, without its ways to think, in the words of an export."""
    from engine.weights.turns import Turns

    return Turns(
        user=spelling.user,
        assistant=spelling.assistant,
        system=spelling.system,
        joiner=spelling.joiner,
        opening=spelling.opening,
        stops=spelling.stop.texts,
    )
