"""The model that the next start would load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rwkv_chat.doctor.finding import Finding
from rwkv_chat.explain import size
from rwkv_chat.session.cards import Known, builtin, card_for, tokenizer_missing
from rwkv_chat.session.shelf_headers import measure, read_header
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rwkv_chat.paths import Paths
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.session.shelf_headers import Header


def check(paths: Paths, chosen: Path | None) -> Iterator[Finding]:
    from engine.errors import EngineError

    try:
        path = _path(paths, chosen)
        header = read_header(path)
        yield _weights(path, header)
        yield from _speaking(card_for(path, Known(header.spec, shared=paths.models)))
    except EngineError as error:
        yield Finding.failed("weights", error)


def _path(paths: Paths, chosen: Path | None) -> Path:
    """Raises: EngineError."""
    from rwkv_chat.session.shelf_names import resolve
    from rwkv_chat.settings_file import SettingsFile

    named = str(chosen) if chosen is not None else SettingsFile(paths.settings_file).values.model
    return resolve(named, paths) if named else builtin().path


def _weights(path: Path, header: Header) -> Finding:
    """What its header says. Raises: EngineError."""
    spec, (nbytes, _) = header.spec, measure(path)
    shape = say(
        "doctor.value.shape", format=header.format, arch=spec.arch, layers=spec.n_layer, width=spec.n_embd
    )
    return Finding.of("weights", f"{path} ({size(nbytes)}; {shape})")


def _speaking(card: ModelCard) -> Iterator[Finding]:
    """Raises: EngineError."""
    from engine.tokenizer import load_tokenizer

    yield Finding.of("card", say("doctor.value.card", name=card.name, family=card.family.title))
    if (missing := tokenizer_missing(card)) is not None:
        raise missing
    name = Path(card.tokenizer.path).name if card.tokenizer.path else card.tokenizer.kind
    tokens = load_tokenizer(card.tokenizer).sampleable
    yield Finding.of("tokenizer", say("doctor.value.vocabulary", name=name, tokens=tokens))
