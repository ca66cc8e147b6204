"""Things told and asked after: names, pets, colours, towns and more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwkv_chat.demo.corpus.grammar import data, pick_one
from rwkv_chat.demo.corpus.questions import capitalised, common, dress
from rwkv_chat.demo.corpus.words import listed, value

if TYPE_CHECKING:
    from random import Random

CORE = ("name", "pet", "colour", "town")  # what the evaluation asks
FORMLESS = 0.15  # share of tellings in no set form


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing told: what fills {x}, and {p} or {r} where its kind has one."""

    kind: str
    x: str
    p: str = ""
    r: str = ""

    @property
    def subject(self) -> tuple[str, str, str]:
        """What a correction replaces."""
        return self.kind, self.p, self.r

    def fill(self, text: str) -> str:
        return text.replace("{x}", self.x).replace("{p}", self.p).replace("{r}", self.r)


def kinds() -> tuple[str, ...]:
    return tuple(each for each in data("memory") if each != "shared")


def new_fact(kind: str, rng: Random, *, held: bool = False) -> Fact:
    """A fact of a kind with a fresh value; with `held`, a value that training never sees."""
    x = value(data("memory")[kind]["value"], rng, held=held)
    return Fact(
        kind,
        x,
        rng.choice(listed("roles", "pets")) if kind == "pet" else "",
        rng.choice(listed("roles", "relatives")) if kind == "friend" else "",
    )


def changed(fact: Fact, rng: Random, *, held: bool = False) -> Fact:
    """The same subject with another value."""
    x = fact.x
    while x.lower() == fact.x.lower():
        x = value(data("memory")[fact.kind]["value"], rng, held=held)
    return Fact(fact.kind, x, fact.p, fact.r)


# ------------------------------------------------------------------------------------------------ telling


def tell(fact: Fact, rng: Random, *, held: bool = False, change: bool = False, free: bool = False) -> str:
    """A sentence that tells the fact; with `held`, in a way that training never uses; with `free`, now and
    then in no set form."""
    row, shared = data("memory")[fact.kind], data("memory")["shared"]
    text = pick_one(row["held_tells"] if held else row["tells"], rng)
    if free and fact.kind in CORE and rng.random() < FORMLESS:
        text = _formless(fact.kind, "tell", rng, "{x}")
    if change:
        text = rng.choice(shared["change_before"]) + text
    else:
        text = rng.choice(shared["before_tell"]) + text + rng.choice(shared["after_tell"])
    return fact.fill(_dressed(text, rng))


def tell_two(first: Fact, second: Fact, rng: Random) -> str:
    """Two facts in one message."""
    shared = data("memory")["shared"]
    one, two = (pick_one(data("memory")[each.kind]["tells"], rng) for each in (first, second))
    dressed = _dressed(one + rng.choice(shared["multi_join"]) + two.replace("{", "{second "), rng)
    return second.fill(first.fill(dressed).replace("{second ", "{"))


def _formless(kind: str, name: str, rng: Random, value_slot: str = "") -> str:
    """A cue of the kind and the value in no set order, between common words: the words that matter, in a
    sentence never heard before."""
    parts = [pick_one(data("clutter")["cues"][kind][name], rng)]
    if value_slot:
        parts.insert(rng.randrange(2), value_slot)
    words: list[str] = []
    for part in (*parts, ""):
        words += [rng.choice(common()) for _ in range(rng.choice((0, 1, 1, 2, 3, 4)))]
        words.append(part)
    return " ".join(words).strip()


def _dressed(text: str, rng: Random) -> str:
    return dress(text, rng, greet=0.0, typo=0.04).replace("?", ".")


def acknowledge(fact: Fact, rng: Random) -> str:
    """The reply to a telling; mostly it says the value."""
    row, shared = data("memory")[fact.kind], data("memory")["shared"]
    if rng.random() < 0.65:
        return capitalised(fact.fill(pick_one(row["acks"], rng)))
    said = pick_one(row["say"], rng)
    return fact.fill(pick_one(shared["confirm"], rng).replace("{s}", said))


def acknowledge_two(first: Fact, second: Fact, rng: Random) -> str:
    said = " and ".join(
        each.fill(pick_one(data("memory")[each.kind]["say"], rng)) for each in (first, second)
    )
    return pick_one(data("memory")["shared"]["confirm"], rng).replace("{s}", said)


# ------------------------------------------------------------------------------------------------ asking


def ask(fact: Fact, rng: Random, *, held: bool = False, free: bool = False) -> str:
    """A question after the fact (its value is not used); with `held`, one that training never uses."""
    row, shared = data("memory")[fact.kind], data("memory")["shared"]
    if held:
        return fact.fill(dress(pick_one(row["held_asks"], rng), rng, greet=0.0))
    if free and fact.kind in CORE and rng.random() < FORMLESS / 2:
        text = _formless(fact.kind, "ask", rng)
    elif rng.random() < 0.3:
        text = pick_one(shared["remember_frames"], rng).replace("{w}", pick_one(row["whats"], rng))
    else:
        text = pick_one(row["asks"], rng)
    text = rng.choice(shared["before_ask"]) + text + rng.choice(shared["after_ask"])
    return fact.fill(dress(text, rng, greet=0.0, typo=0.04))


def answer(fact: Fact, rng: Random) -> str:
    return fact.fill(pick_one(data("memory")[fact.kind]["answers"], rng))


def unknown(fact: Fact) -> str:
    """The reply when nothing of the kind was told."""
    return fact.fill(data("memory")[fact.kind]["unknown"][0])


def recalls(fact: Fact, reply: str) -> bool:
    """Whether a reply says the value."""
    return fact.x.lower() in reply.lower()


def admits(reply: str) -> bool:
    """Whether a reply says that it does not know."""
    return "don't know that" in reply.lower()
