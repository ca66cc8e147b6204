"""Questions: frames filled from a topic, then dressed as people write (greeting, case, typos)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Literal

from rwkv_chat.demo.corpus.grammar import data, pick_one

if TYPE_CHECKING:
    from random import Random

    from rwkv_chat.demo.corpus.topics import Topic

Split = Literal["train", "combination", "frame"]

_HELD_ONE_IN = 12


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
    return {"goal": 3.0, "noun": 1.5, "about": 1.5}.get(frames, 3.0)


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
    """A dressed question on a topic."""
    return dress(bare(topic, rng, split), rng)
