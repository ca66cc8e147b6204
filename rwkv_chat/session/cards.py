"""Model cards: what is known about a weights file before it is opened.

Names, dates and headers tell the family, and with it template, sampling and tokenizer. A `model.toml` beside
the weights describes them better; the built-in model is described the same way.
"""

from __future__ import annotations

import functools
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidParameter, TokenizerMissing
from engine.types import SamplingParams, TokenizerRef
from rwkv_chat.families import family_for
from rwkv_chat.paths import expanded, resource
from rwkv_chat.session.shelf_headers import label

if TYPE_CHECKING:
    from engine.types import ModelSpec
    from rwkv_chat.families import Family

BUILTIN = "assets/demo/model.toml"
DESCRIPTION = "model.toml"
TOKENIZER = "tokenizer.json"
TOKENIZER_20B = "20B_tokenizer.json"
LARGEST_DESCRIPTION = 1 << 20
_CONTEXT = re.compile(r"(?<![a-z0-9])ctx-?(\d{3,8})(?!\d)")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model that can be chosen.

    Attributes:
        name: for people.  path: the weights, a file or a folder.
        builtin: the small guide that comes with the program.
        template: name of its chat template.
        sampling: its own sampling, before a person's changes.
        suggestions: first questions that it answers well.  note: one sentence about what it is.
        family: models of its kind, their think modes and presets.
        spec: what its header says; None while nobody has looked.
        context: over how many tokens it was trained to remember; None where neither name nor description
            says.
    """

    name: str
    path: Path
    builtin: bool = False
    template: str = "classic"
    sampling: SamplingParams = field(default_factory=SamplingParams)
    tokenizer: TokenizerRef = field(default_factory=TokenizerRef)
    suggestions: tuple[str, ...] = ()
    note: str = ""
    family: Family = field(default_factory=lambda: family_for(""))
    spec: ModelSpec | None = None
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of weights beside what lies there.

    Attributes:
        spec: what their header says; None while nobody has looked.
        family, template: a person's own choice, "" for none.
        shared: a folder where tokenizers lie that were downloaded for several models.
    """

    spec: ModelSpec | None = None
    family: str = ""
    template: str = ""
    shared: Path | None = None


@functools.cache
def builtin() -> ModelCard:
    """The built-in guide."""
    description = resource(BUILTIN)
    values = _read(description)
    weights = description.parent / _word(values, "file", "demo.safetensors")
    return _card(weights, values, Known(), builtin=True)


def card_for(path: Path, known: Known | None = None) -> ModelCard:
    """The card of any weights: from their name and header, and above that from a `model.toml` beside them
    (in a folder that is a model: inside). No other file is read.
    """
    path = expanded(path).absolute()
    if path == builtin().path:
        return builtin()
    return _card(path, _description(path), known or Known(), builtin=False)


def tokenizer_missing(card: ModelCard) -> TokenizerMissing | None:
    """Why a model cannot speak for want of its tokenizer; None where it is there, or comes with the
    program.
    """
    needed = card.tokenizer.path
    if needed is None or Path(needed).is_file():
        return None
    return TokenizerMissing(str(card.path), Path(needed).name)


def companions(card: ModelCard) -> tuple[Path, ...]:
    """What belongs beside a weights file and is there: its description and its tokenizer."""
    beside = [card.path.parent / DESCRIPTION] if _description(card.path) else []
    if card.tokenizer.path is not None:
        beside.append(Path(card.tokenizer.path))
    return tuple(each for each in beside if each.is_file() and each.parent == card.path.parent)


def _description(path: Path) -> dict[str, Any]:
    if path.is_dir():
        return _read(path / DESCRIPTION)
    values = _read(path.parent / DESCRIPTION)
    return values if values.get("file") == path.name else {}


def _card(path: Path, values: dict[str, Any], known: Known, *, builtin: bool) -> ModelCard:
    suggestions = values.get("suggestions")
    family = family_for(path.name, known.spec, known.family or _word(values, "family", "") or None)
    return ModelCard(
        name=_word(values, "name", label(path)),
        path=path,
        builtin=builtin,
        template=known.template or _word(values, "template", family.template),
        sampling=_sampling(values.get("sampling"), family.sampling_for() or SamplingParams()),
        tokenizer=_tokenizer(path, _word(values, "tokenizer", ""), family, known),
        suggestions=tuple(map(str, suggestions)) if isinstance(suggestions, list) else (),
        note=_word(values, "note", ""),
        family=family,
        spec=known.spec,
        context=_context(path.name, values.get("context")),
    )


def _context(name: str, described: object) -> int | None:
    if isinstance(described, int) and described > 0:
        return described
    found = _CONTEXT.search(name.lower())
    return int(found[1]) if found else None


def _tokenizer(weights: Path, named: str, family: Family, known: Known) -> TokenizerRef:
    """The one that the description names, else the family's: the World vocabulary, or a file that lies
    beside the weights. As long as nobody has looked at the weights, a `tokenizer.json` beside them decides.
    """
    folder = weights if weights.is_dir() else weights.parent
    if named == "world":
        return TokenizerRef()
    if named:
        return TokenizerRef("json", str(folder / Path(named).name))
    if family.tokenizer == "world" and (known.spec is not None or not (folder / TOKENIZER).is_file()):
        return TokenizerRef()
    places = [folder / TOKENIZER]
    if family.tokenizer == "20b":
        places = [folder / TOKENIZER_20B, *places, *([known.shared / TOKENIZER_20B] if known.shared else [])]
    return TokenizerRef("json", str(next((each for each in places if each.is_file()), places[0])))


def _sampling(values: object, base: SamplingParams) -> SamplingParams:
    """`base` with what is given; a value that cannot be is left out."""
    known = {each.name for each in fields(SamplingParams) if each.metadata}
    for name, value in values.items() if isinstance(values, dict) else ():
        with suppress(TypeError, InvalidParameter):
            base = replace(base, **{name: value}) if name in known else base
    return base


def _read(path: Path) -> dict[str, Any]:
    """What a description says; nothing if it is unreadable or no file (a pipe would be waited for)."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_DESCRIPTION:
            return {}
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _word(values: dict[str, Any], name: str, default: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) and value else default
