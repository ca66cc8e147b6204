"""The held-out cases, by group: what is said, and how to tell a right last reply. Seeded."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from random import Random
from typing import TYPE_CHECKING

from rwkv_chat.demo.corpus import memory
from rwkv_chat.demo.corpus.dialogues import filler
from rwkv_chat.demo.corpus.grammar import data
from rwkv_chat.demo.corpus.questions import dress, question
from rwkv_chat.demo.corpus.talk import exercise, outside, small_talk
from rwkv_chat.demo.corpus.topics import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rwkv_chat.demo.corpus.memory import Fact
    from rwkv_chat.demo.corpus.questions import Split
    from rwkv_chat.demo.corpus.talk import Exercise

DISTANCES = range(1, 11)


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation of which the last reply is judged.

    Attributes:
        group: a row of the table.  label: what it is about (a topic, a kind of fact).
        messages: what the user says, in order; the model's own replies stand between.
    """

    group: str
    label: str
    messages: tuple[str, ...]
    accepts: Callable[[str], bool]
    distance: int = 0


def unseen_sentences() -> dict[str, list[str]]:
    """The sentences written by hand for the evaluation, by topic."""
    return tomllib.loads((files("rwkv_chat.demo") / "unseen.toml").read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------------------ how-to


def _preceded(message: str, rng: Random) -> tuple[str, ...]:
    """The message alone, or after another turn."""
    return (message,) if rng.random() < 0.5 else (filler(rng).user, message)


def _how_to(group: str, split: Split, each: int, rng: Random) -> Iterator[Case]:
    for topic in topics().values():
        if split == "frame" and not any(q.frames for q in topic.questions):
            continue
        for _ in range(each):
            yield Case(group, topic.id, _preceded(question(topic, rng, split), rng), topic.accepts)


def _unseen(rng: Random) -> Iterator[Case]:
    for name, sentences in unseen_sentences().items():
        for sentence in sentences:
            yield Case("how-to: unseen sentences", name, _preceded(sentence, rng), topics()[name].accepts)


# ------------------------------------------------------------------------------------------------ memory


def _others(fact: Fact, rng: Random) -> list[Fact]:
    """Up to two facts of other kinds, told beside it."""
    kinds = [kind for kind in memory.CORE if kind != fact.kind]
    chosen = rng.sample(kinds, rng.choice((0, 0, 1, 2)))
    return [memory.new_fact(kind, rng, held=True) for kind in chosen]


def _remembered(group: str, kind: str, distance: int, rng: Random, *, tell: bool, ask: bool) -> Case:
    """Facts with unseen values are told, `distance` other turns follow, then one is asked after."""
    fact = memory.new_fact(kind, rng, held=True)
    others = [memory.tell(each, rng) for each in _others(fact, rng)][: distance - 1]
    before = others[: rng.randrange(len(others) + 1)]
    after = others[len(before) :] + [filler(rng).user for _ in range(distance - len(others) + len(before))]
    rng.shuffle(after)
    said = (*before, memory.tell(fact, rng, held=tell), *after, memory.ask(fact, rng, held=ask))
    return Case(group, kind, said, lambda reply: memory.recalls(fact, reply), distance)


def _memory(group: str, each: int, rng: Random, *, tell: bool = False, ask: bool = False) -> Iterator[Case]:
    for distance in DISTANCES:
        for kind in memory.CORE:
            for _ in range(each):
                yield _remembered(group, kind, distance, rng, tell=tell, ask=ask)


def _corrected(n: int, rng: Random) -> Iterator[Case]:
    """A fact is told, corrected, and asked after: the later value counts."""
    for i in range(n):
        fact = memory.new_fact(memory.CORE[i % 4], rng, held=True)
        later = memory.changed(fact, rng, held=True)
        said = (memory.tell(fact, rng), memory.tell(later, rng, change=True), memory.ask(fact, rng))
        yield Case("memory: corrected", fact.kind, said, lambda reply, it=later: memory.recalls(it, reply))


# ------------------------------------------------------------------------------------------------ the rest


def _not_told(n: int, rng: Random) -> Iterator[Case]:
    """Something else is told (or nothing), and a fact that was not is asked after."""
    for i in range(n):
        fact = memory.new_fact(memory.CORE[i % 4], rng, held=True)
        before = [memory.tell(each, rng) for each in _others(fact, rng)]
        said = (*before, filler(rng).user, memory.ask(fact, rng, held=i % 8 >= 4))
        yield Case("don't know: never told", fact.kind, said, memory.admits)


def _outside(n: int, rng: Random) -> Iterator[Case]:
    for _ in range(n):
        said = _preceded(outside(rng).user, rng)
        yield Case("don't know: outside (new values)", "outside", said, memory.admits)
    for sentence in data("talk")["outside"]["held"]:
        said = _preceded(dress(sentence, rng), rng)
        yield Case("don't know: outside (unseen sentences)", "outside", said, memory.admits)


def _small_talk(n: int, rng: Random) -> Iterator[Case]:
    for _ in range(n):
        turn = small_talk(rng)
        yield Case("small talk: seen ways", "small", _preceded(turn.user, rng), _fits(_answers(turn.reply)))
    every = [answer for row in data("talk")["small"] for answer in row["answers"]]
    for row in data("talk")["small"]:
        for sentence in row["held"]:
            said = _preceded(dress(sentence, rng, greet=0.0), rng)
            yield Case("small talk: unseen, the right kind", row["held"][0], said, _fits(row["answers"]))
            yield Case("small talk: unseen, whole sentences", row["held"][0], said, _is_whole(every))


def _answers(reply: str) -> list[str]:
    return next(row["answers"] for row in data("talk")["small"] if reply in row["answers"])


def _fits(answers: list[str]) -> Callable[[str], bool]:
    return lambda reply: reply in answers


def _is_whole(small: list[str]) -> Callable[[str], bool]:
    """Whether a reply is made of whole sentences: one of those it was taught, none garbled."""
    taught = {*small, *data("talk")["outside"]["answers"]}
    taught |= {answer for topic in topics().values() for answer in topic.answers}
    return lambda reply: reply in taught


def _exercises(n: int, rng: Random) -> Iterator[Case]:
    kinds: tuple[Exercise, ...] = ("repeat", "count", "sum")
    for kind in kinds:
        for i in range(n):
            turn = exercise(kind, rng, held=i % 2 == 1)
            way = "unseen wording" if i % 2 else "seen wording"
            yield Case(f"{kind}: {way}", kind, _preceded(turn.user, rng), _equals(turn.key))


def _equals(key: str) -> Callable[[str], bool]:
    return lambda reply: reply.rstrip(".").lower() == key.lower()


def cases(seed: int, *, scale: int = 4) -> list[Case]:
    """All held-out cases of a seed; `scale` is how many there are of each kind."""
    rng = Random(f"evaluation/{seed}")  # noqa: S311  not for secrets
    return [
        *_how_to("how-to: unseen combinations", "combination", scale, rng),
        *_how_to("how-to: unseen frames", "frame", scale, rng),
        *_unseen(rng),
        *_memory("memory: unseen values", scale + 1, rng),
        *_memory("memory: unseen telling", scale, rng, tell=True),
        *_memory("memory: unseen asking", scale, rng, ask=True),
        *_corrected(10 * scale, rng),
        *_not_told(16 * scale, rng),
        *_outside(16 * scale, rng),
        *_small_talk(16 * scale, rng),
        *_exercises(12 * scale, rng),
    ]


def sample(all_cases: list[Case], n: int, seed: int) -> list[Case]:
    """A seeded choice of n cases of each group."""
    rng = Random(f"sample/{seed}")  # noqa: S311  not for secrets
    groups: dict[str, list[Case]] = {}
    for case in all_cases:
        groups.setdefault(case.group, []).append(case)
    return [case for found in groups.values() for case in rng.sample(found, min(n, len(found)))]
