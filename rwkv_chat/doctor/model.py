"""The weights file that the next start would load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rwkv_chat.doctor.finding import Finding
from rwkv_chat.explain import size
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rwkv_chat.paths import Paths
    from rwkv_chat.session.cards import ModelCard


def check(paths: Paths, chosen: Path | None) -> Iterator[Finding]:
    from engine.errors import EngineError
    from engine.tokenizer import load_tokenizer
    from engine.weights.load import read_spec

    card = _card(paths, chosen)
    yield Finding.of("card", card.name)
    try:
        spec = read_spec(card.path)
        shape = say("doctor.value.shape", arch=spec.arch, layers=spec.n_layer, width=spec.n_embd)
        yield Finding.of("weights", f"{card.path} ({size(card.path.stat().st_size)}; {shape})")
        name = Path(card.tokenizer.path).name if card.tokenizer.path else card.tokenizer.kind
        tokens = load_tokenizer(card.tokenizer).sampleable
        yield Finding.of("tokenizer", say("doctor.value.vocabulary", name=name, tokens=tokens))
    except EngineError as error:
        yield Finding.failed("weights", error)


def _card(paths: Paths, chosen: Path | None) -> ModelCard:
    from rwkv_chat.session.cards import builtin, card_for
    from rwkv_chat.settings import SettingsFile

    if chosen is not None:
        return card_for(chosen)
    named = SettingsFile(paths.settings_file).values.model
    return card_for(Path(named)) if named else builtin()
