"""Whole dialogues: the n-th one of a seed is always the same."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from rwkv_chat.demo.corpus import memory
from rwkv_chat.demo.corpus.questions import question
from rwkv_chat.demo.corpus.talk import Exercise, Turn, exercise, outside, small_talk
from rwkv_chat.demo.corpus.topics import topics

if TYPE_CHECKING:
    from rwkv_chat.demo.corpus.memory import Fact
    from rwkv_chat.demo.corpus.topics import Topic

Dialogue = tuple[Turn, ...]

RECALL_WEIGHT = 3.0
_EXERCISE_KINDS: tuple[Exercise, ...] = ("repeat", "count", "sum")


def topic_turn(topic: Topic, rng: Random) -> Turn:
    """A question on the topic and one of its answers."""
    return Turn(question(topic, rng), rng.choice(topic.answers))


def _any_topic(rng: Random) -> Topic:
    chosen = list(topics().values())
    return rng.choices(chosen, [each.weight for each in chosen])[0]


def _guide_turn(rng: Random) -> Turn:
    chance = rng.random()
    if chance < 0.76:
        return topic_turn(_any_topic(rng), rng)
    if chance < 0.86:
        return outside(rng)
    return small_talk(rng) if chance < 0.94 else exercise(rng.choice(_EXERCISE_KINDS), rng)


def filler(rng: Random) -> Turn:
    """A turn that has nothing to do with what was told: mostly a short one."""
    chance = rng.random()
    if chance < 0.4:
        return small_talk(rng)
    if chance < 0.65:
        return exercise(rng.choice(("repeat", "sum", "sum", "count")), rng)
    return outside(rng) if chance < 0.73 else topic_turn(_any_topic(rng), rng)


def _guide(rng: Random) -> Dialogue:
    return tuple(_guide_turn(rng) for _ in range(rng.choice((3, 4, 4, 5, 6))))


def _practice(rng: Random) -> Dialogue:
    """Copying and counting, close together."""
    kinds = rng.choices(("repeat", "sum", "count"), (5, 3, 1), k=rng.choice((3, 4, 5)))
    return tuple(exercise(kind, rng) for kind in kinds)


# ------------------------------------------------------------------------------------------------ memory


def told(fact: Fact, rng: Random, *, change: bool = False) -> Turn:
    return Turn(memory.tell(fact, rng, change=change, free=True), memory.acknowledge(fact, rng), weight=2.0)


def asked(fact: Fact, rng: Random) -> Turn:
    return Turn(memory.ask(fact, rng, free=True), memory.answer(fact, rng), weight=RECALL_WEIGHT)


def not_told(fact: Fact, rng: Random) -> Turn:
    return Turn(memory.ask(fact, rng, free=True), memory.unknown(fact), weight=1.5)


def _kind(rng: Random) -> str:
    return rng.choice(memory.CORE) if rng.random() < 0.6 else rng.choice(memory.kinds())


def _facts(rng: Random) -> list[Fact]:
    """One to four facts on different subjects."""
    found: dict[tuple[str, str, str], Fact] = {}
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
        fact = memory.new_fact(_kind(rng), rng)
        found.setdefault(fact.subject, fact)
    return list(found.values())


def _tellings(facts: list[Fact], rng: Random) -> list[Turn]:
    """Turns that tell the facts, sometimes two at once, sometimes with another turn between."""
    turns: list[Turn] = []
    rest = list(facts)
    while rest:
        fact = rest.pop(0)
        if rest and rng.random() < 0.25:
            other = rest.pop(0)
            reply = memory.acknowledge_two(fact, other, rng)
            turns.append(Turn(memory.tell_two(fact, other, rng), reply, weight=2.0))
        else:
            turns.append(told(fact, rng))
        if rng.random() < 0.2:
            turns.append(filler(rng))
    return turns


def _changes(facts: list[Fact], rng: Random) -> list[Turn]:
    """Now and then one fact is corrected, in the list too."""
    if rng.random() > 0.15:
        return []
    at = rng.randrange(len(facts))
    facts[at] = memory.changed(facts[at], rng)
    return [told(facts[at], rng, change=True)]


def _askings(facts: list[Fact], rng: Random) -> list[Turn]:
    """Questions after the facts, and after one that was never told."""
    turns = [asked(each, rng) for each in facts]
    if rng.random() < 0.4:
        turns.append(asked(rng.choice(facts), rng))
    if rng.random() < 0.6:
        turns.append(not_told(_missing(facts, rng), rng))
    rng.shuffle(turns)
    return turns


def _missing(facts: list[Fact], rng: Random) -> Fact:
    subjects = {each.subject for each in facts}
    while True:
        fact = memory.new_fact(_kind(rng), rng)
        if fact.subject not in subjects and not (
            fact.p == "pet" or any(s[1] == "pet" and fact.p for s in subjects)
        ):
            return fact


def _spread(turns: list[Turn], rng: Random) -> list[Turn]:
    """A filler between some of the turns."""
    out: list[Turn] = []
    for turn in turns:
        out.append(turn)
        if rng.random() < 0.15:
            out.append(filler(rng))
    return out


def _remembering(rng: Random) -> Dialogue:
    facts = _facts(rng)
    turns = [filler(rng)] if rng.random() < 0.25 else []
    turns += _tellings(facts, rng) + _changes(facts, rng)
    turns += [filler(rng) for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 4, 6, 8)))]
    return tuple(turns + _spread(_askings(facts, rng), rng))


def _never_told(rng: Random) -> Dialogue:
    """Asking at once for what was never told."""
    turns = [filler(rng) for _ in range(rng.choice((0, 0, 1, 2)))]
    turns += [not_told(memory.new_fact(_kind(rng), rng), rng)]
    return (*turns, _guide_turn(rng))


_KINDS = ((_guide, 52), (_remembering, 38), (_practice, 4), (_never_told, 6))


def dialogue(seed: int, index: int) -> Dialogue:
    """The training dialogue with that number."""
    rng = Random(f"{seed}/{index}")  # noqa: S311  not for secrets
    make = rng.choices([each for each, _ in _KINDS], [weight for _, weight in _KINDS])[0]
    return make(rng)
