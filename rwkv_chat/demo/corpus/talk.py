"""Small talk, questions outside the model's world, and small exercises: repeating, counting, sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rwkv_chat.demo.corpus.grammar import data, pick_one
from rwkv_chat.demo.corpus.questions import capitalised, dress
from rwkv_chat.demo.corpus.words import listed, made_up

if TYPE_CHECKING:
    from random import Random

Exercise = Literal["repeat", "count", "sum"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A user's message and the reply.

    `weight` counts the loss of the reply; `key` is what a right one holds.
    """

    user: str
    reply: str
    weight: float = 1.0
    key: str = ""


def _number_words() -> tuple[str, ...]:
    return listed("roles", "numbers")


def small_talk(rng: Random) -> Turn:
    row = rng.choice(data("talk")["small"])
    return Turn(dress(pick_one(row["asks"], rng), rng, greet=0.1), pick_one(row["answers"], rng))


def _slots(text: str, rng: Random, *, held: bool = False) -> str:
    for slot, kind in (("{t}", "town"), ("{w}", "thing"), ("{N}", "name")):
        while slot in text:
            word = made_up(kind, rng, held=held)
            text = text.replace(slot, word if slot == "{w}" else capitalised(word), 1)
    for slot, name in (("{o}", "things"), ("{a}", "describing")):
        while slot in text:
            text = text.replace(slot, rng.choice(listed("world", name)), 1)
    while "{n}" in text:
        text = text.replace("{n}", str(rng.randrange(2, 2000)), 1)
    return text


def outside(rng: Random) -> Turn:
    """A question that the model must not pretend to answer."""
    row = data("talk")["outside"]
    asked = _slots(pick_one(row["asks"], rng), rng)
    return Turn(dress(asked, rng), pick_one(row["answers"], rng))


def exercise(kind: Exercise, rng: Random, *, held: bool = False) -> Turn:
    """Something to repeat, count or add; with `held`, in words that training never uses."""
    row = data("talk")[kind]
    frame = pick_one(row["held" if held else "asks"], rng)
    return _EXERCISES[kind](frame, rng, held=held)


def _repeat(frame: str, rng: Random, *, held: bool) -> Turn:
    words = " ".join(made_up("thing", rng, held=held) for _ in range(rng.choice((1, 1, 1, 2, 2, 3))))
    words = capitalised(words) if rng.random() < 0.3 else words
    asked = dress(frame, rng, greet=0.0, typo=0.0).rstrip("?.! ")
    return Turn(asked.replace("{q}", words), words, weight=2.0, key=words)


def _count(frame: str, rng: Random, **_: bool) -> Turn:
    last = rng.randrange(2, 21)
    written = str(last) if rng.random() < 0.75 else _number_words()[last]
    counted = ", ".join(str(i) for i in range(1, last + 1))
    return Turn(dress(frame, rng, greet=0.1).replace("{n}", written), f"{counted}.", key=counted)


def _sum(frame: str, rng: Random, **_: bool) -> Turn:
    total = rng.randrange(0, 21)
    a = rng.randrange(0, total + 1)
    numbers = (
        (str(a), str(total - a)) if rng.random() < 0.8 else (_number_words()[a], _number_words()[total - a])
    )
    asked = dress(frame, rng, greet=0.1, typo=0.0).replace("{a}", numbers[0]).replace("{b}", numbers[1])
    return Turn(asked, f"{total}.", weight=2.0, key=str(total))


_EXERCISES = {"repeat": _repeat, "count": _count, "sum": _sum}
