"""Values to remember: mostly made-up words, so that the model must copy and cannot memorise.

A word is held out of training by its hash, or because it stands on a `held` list: evaluation uses only those.
"""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING, Literal

from rwkv_chat.demo.corpus.grammar import data

if TYPE_CHECKING:
    from random import Random

ValueKind = Literal["name", "colour", "town", "thing", "number"]


@functools.cache
def listed(table: str, name: str) -> tuple[str, ...]:
    """A list of `data/values.toml`."""
    return tuple(data("values")[table][name].split())


def is_held(word: str) -> bool:
    """Whether a made-up word belongs to evaluation (one in eight)."""
    return zlib.crc32(word.lower().encode()) % 8 == 0


def _made_up(kind: str, rng: Random) -> str:
    onsets, vowels, codas = (listed("pieces", name) for name in ("onsets", "vowels", "codas"))
    word = ""
    for _ in range(rng.choice((1, 1, 2, 2, 2, 3))):
        word += rng.choice(onsets) + rng.choice(vowels) + (rng.choice(codas) if rng.random() < 0.45 else "")
    return word + (rng.choice(listed("endings", kind)) if rng.random() < 0.8 else "")


def made_up(kind: str, rng: Random, *, held: bool) -> str:
    """A made-up word, lower case, of the wished side of the split."""
    while True:
        word = _made_up(kind, rng)
        if 3 <= len(word) <= 12 and is_held(word) == held:
            return word


def _one(kind: str, rng: Random, *, held: bool) -> str:
    """A made-up or a real word."""
    if rng.random() < (0.5 if held else 0.3):
        return rng.choice(listed("held" if held else "trained", kind))
    if not held and rng.random() < 0.12:
        return rng.choice(_any_words())
    return made_up(kind, rng, held=held)


@functools.cache
def _any_words() -> tuple[str, ...]:
    """Words of the world that may be anybody's name too, so that none is too odd to be copied."""
    held = {each for kind in data("values")["held"] for each in listed("held", kind)}
    return tuple(each for each in listed("world", "things") if each not in held and not is_held(each))


def _capital(word: str, rng: Random) -> str:
    """Mostly with a capital, as names are."""
    return word[0].upper() + word[1:] if rng.random() < 0.8 else word.lower()


def _name(rng: Random, *, held: bool) -> str:
    return _capital(_one("name", rng, held=held), rng)


def _town(rng: Random, *, held: bool) -> str:
    word = _capital(_one("town", rng, held=held), rng)
    chance = rng.random()
    if chance < 0.1:
        return rng.choice(listed("around", "town_before")) + " " + word
    return word + " " + rng.choice(listed("around", "town_after")) if chance < 0.17 else word


def _colour(rng: Random, *, held: bool) -> str:
    base = _one("colour", rng, held=held)
    if rng.random() < 0.6:
        return base
    if rng.random() < 0.6:
        return f"{made_up('colour', rng, held=held)} {base}"
    return f"{rng.choice(listed('around', 'held_modifiers' if held else 'modifiers'))} {base}"


def _thing(rng: Random, *, held: bool) -> str:
    word = _one("thing", rng, held=held)
    return word if rng.random() < 0.8 else f"{made_up('thing', rng, held=held)} {word}"


def _number(rng: Random, *, held: bool) -> str:
    while True:
        number = str(rng.randrange(10, 10000))
        if is_held(number) == held:
            return number


_MAKERS = {"name": _name, "town": _town, "colour": _colour, "thing": _thing, "number": _number}


def value(kind: ValueKind, rng: Random, *, held: bool = False) -> str:
    """A value to remember; with `held`, one that training never sees."""
    return _MAKERS[kind](rng, held=held)
