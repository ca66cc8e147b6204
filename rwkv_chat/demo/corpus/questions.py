"""Questions: frames filled from a topic, then dressed as people write (greeting, case, typos)."""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING, Literal

from rwkv_chat.demo.corpus.grammar import data, pick_one

if TYPE_CHECKING:
    from random import Random

    from rwkv_chat.demo.corpus.topics import Topic

Split = Literal["train", "combination", "frame"]

_HELD_ONE_IN = 12
CLUTTERED = 0.3  # share of training questions


def _is_held(sentence: str) -> bool:
    """Whether a bare sentence is kept for evaluation as an unseen combination."""
    return zlib.crc32(sentence.lower().encode()) % _HELD_ONE_IN == 0


def bare(topic: Topic, rng: Random, split: Split = "train") -> str:
    """A question on a topic, undressed: "train" and "combination" share none; "frame" uses held frames."""
    while True:
        sentence = _framed(topic, rng, held=split == "frame")
        if split == "frame" or _is_held(sentence) == (split == "combination"):
            return sentence


def _framed(topic: Topic, rng: Random, *, held: bool) -> str:
    options = [each for each in topic.questions if each.frames] if held else list(topic.questions)
    if not options:
        raise ValueError(f"{topic.id} has no frames")
    asked = rng.choices(options, [_weight(each.frames) for each in options])[0]
    text = pick_one(asked.fillers, rng)
    if not asked.frames:
        return text
    frame = pick_one(data("frames")[("held_" if held else "") + asked.frames], rng)
    return frame.replace("{" + asked.slot + "}", text)


def _weight(frames: str) -> float:
    return {"goal": 3.0, "noun": 1.5, "about": 1.5, "default": 1.2, "range": 1.2}.get(frames, 3.0)


# ------------------------------------------------------------------------------------------------ dress


def dress(sentence: str, rng: Random, *, greet: float = 0.22, typo: float = 0.06) -> str:
    """The sentence as somebody might type it; words with braces (slots) stay as they are."""
    noise = data("frames")["noise"]
    if rng.random() < 0.12:
        sentence = _drop_word(sentence, noise["droppable"], rng)
    if rng.random() < typo:
        sentence = _with_typo(sentence, rng)
    if rng.random() < greet * 0.7:
        sentence += rng.choice(noise["after"])
    if rng.random() < greet:
        before = rng.choice(noise["before"])
        sentence = before + (capitalised(sentence) if before[-2] in ".!" else sentence)
    return _cased(sentence, rng) + rng.choice(noise["end"])


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cased(text: str, rng: Random) -> str:
    chance = rng.random()
    if chance < 0.5:
        text = capitalised(text)
    if chance < 0.4:
        text = text.replace(" i ", " I ").replace(" i'", " I'")
        text = "I" + text[1:] if text.startswith(("i ", "i'")) else text
    if chance > 0.985 and "{" not in text:
        text = text.upper()
    return text


def _drop_word(text: str, droppable: list[str], rng: Random) -> str:
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if word in droppable]
    if places and len(words) > 3:
        del words[rng.choice(places)]
    return " ".join(words)


def _with_typo(text: str, rng: Random) -> str:
    """One letter dropped, doubled or exchanged with its neighbour, in a longer word."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    if not places:
        return text
    at = rng.choice(places)
    word, i = words[at], rng.randrange(1, len(words[at]) - 1)
    forms = (
        word[:i] + word[i + 1 :],
        word[:i] + word[i] + word[i:],
        word[:i] + word[i + 1] + word[i] + word[i + 2 :],
    )
    words[at] = rng.choice(forms)
    return " ".join(words)


def question(topic: Topic, rng: Random, split: Split = "train") -> str:
    """A dressed question on a topic; in training often with clutter around it."""
    sentence = bare(topic, rng, split)
    if split == "train" and rng.random() < CLUTTERED:
        sentence = clutter(topic, sentence, rng)
    return dress(sentence, rng)


# ------------------------------------------------------------------------------------------------ clutter


def clutter(topic: Topic, sentence: str, rng: Random) -> str:
    """The sentence with something beside it that does not matter, or the topic's words in no set form: so
    that the model listens to the words that count, in whatever sentence they stand."""
    return rng.choice((_in_context, _in_context, _twice, _scattered, _formless))(topic, sentence, rng)


def _in_context(_topic: Topic, sentence: str, rng: Random) -> str:
    """A clause before or after."""
    parts = [pick_one(data("clutter")["contexts"], rng), sentence]
    if rng.random() < 0.35:
        parts.reverse()
    return rng.choice(data("clutter")["joins"]).join(parts)


def _twice(topic: Topic, sentence: str, rng: Random) -> str:
    """The same in two ways."""
    return rng.choice(data("clutter")["joins"]).join((sentence, bare(topic, rng)))


def _scattered(_topic: Topic, sentence: str, rng: Random) -> str:
    """A few common words put in anywhere."""
    words = sentence.split(" ")
    for _ in range(rng.choice((1, 1, 2, 3))):
        words.insert(rng.randrange(len(words) + 1), rng.choice(common()))
    return " ".join(words)


def _formless(topic: Topic, _sentence: str, rng: Random) -> str:
    """Only the words that count, between common ones."""
    options = [each for each in topic.questions if each.frames in {"goal", "noun", "about"}] or list(
        topic.questions
    )
    filler = pick_one(rng.choice(options).fillers, rng)
    return " ".join((*_some_common(rng), filler, *_some_common(rng)))


def _some_common(rng: Random) -> list[str]:
    return [rng.choice(common()) for _ in range(rng.choice((0, 1, 2, 3, 4, 5)))]


@functools.cache
def common() -> tuple[str, ...]:
    """Common words that tell nothing about a topic."""
    return tuple(data("clutter")["common"].split())
