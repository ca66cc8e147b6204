"""Model cards: what is known about a weights file before it is opened.

A `model.toml` beside the weights describes them; the built-in model is described the same way.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.types import SamplingParams, TokenizerRef
from rwkv_chat.paths import expanded, resource

BUILTIN = "assets/demo/model.toml"
DESCRIPTION = "model.toml"
TOKENIZER = "tokenizer.json"
LARGEST_DESCRIPTION = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model that can be chosen.

    Attributes:
        name: for people.  path: the weights file.  builtin: the small guide that comes with the program.
        template: name of its chat template.
        sampling: its own sampling, before a person's changes.
        suggestions: first questions that it answers well.  note: one sentence about what it is.
    """

    name: str
    path: Path
    builtin: bool = False
    template: str = "classic"
    sampling: SamplingParams = field(default_factory=SamplingParams)
    tokenizer: TokenizerRef = field(default_factory=TokenizerRef)
    suggestions: tuple[str, ...] = ()
    note: str = ""


def builtin() -> ModelCard:
    """The built-in guide."""
    description = resource(BUILTIN)
    values = _read(description)
    weights = description.parent / _word(values, "file", "demo.safetensors")
    return _card(weights, values, builtin=True)


def card_for(path: Path) -> ModelCard:
    """The card of any weights file; nothing but a `model.toml` beside it is read."""
    path = expanded(path).absolute()
    if path == builtin().path:
        return builtin()
    values = _read(path.parent / DESCRIPTION)
    return _card(path, values if values.get("file") == path.name else {}, builtin=False)


def companions(card: ModelCard) -> tuple[Path, ...]:
    """What belongs beside a weights file and is there: its description and its tokenizer."""
    beside = [card.path.parent / DESCRIPTION] if _read(card.path.parent / DESCRIPTION).get("file") else []
    if card.tokenizer.path is not None:
        beside.append(Path(card.tokenizer.path))
    return tuple(each for each in beside if each.is_file() and each.parent == card.path.parent)


def _card(path: Path, values: dict[str, Any], *, builtin: bool) -> ModelCard:
    suggestions = values.get("suggestions")
    return ModelCard(
        name=_word(values, "name", path.stem),
        path=path,
        builtin=builtin,
        template=_word(values, "template", "classic"),
        sampling=_sampling(values.get("sampling")),
        tokenizer=_tokenizer(path, _word(values, "tokenizer", "")),
        suggestions=tuple(map(str, suggestions)) if isinstance(suggestions, list) else (),
        note=_word(values, "note", ""),
    )


def _tokenizer(weights: Path, named: str) -> TokenizerRef:
    """The one the description names, else a `tokenizer.json` beside the weights, else World."""
    if named == "world":
        return TokenizerRef()
    path = weights.parent / (named or TOKENIZER)
    return TokenizerRef("json", str(path)) if named or path.is_file() else TokenizerRef()


def _sampling(values: object) -> SamplingParams:
    """Raises: InvalidParameter."""
    known = {each.name for each in fields(SamplingParams) if each.metadata}
    given = values if isinstance(values, dict) else {}
    return SamplingParams(**{name: value for name, value in given.items() if name in known})


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
