"""The built-in model's text: seeded, broad, kept apart from the evaluation, and true to the tables."""

from __future__ import annotations

import functools
import re
from random import Random
from typing import TYPE_CHECKING

import pytest

from engine.types import SamplingParams
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.demo.cases import cases, unseen_sentences
from rwkv_chat.demo.corpus import memory
from rwkv_chat.demo.corpus.dialogues import dialogue
from rwkv_chat.demo.corpus.grammar import count, data, parse, pick, to_regex
from rwkv_chat.demo.corpus.questions import bare, question
from rwkv_chat.demo.corpus.topics import (
    UNTAUGHT,
    UNTAUGHT_SCOPES,
    Question,
    Topic,
    keys_by_id,
    taught_ids,
    topics,
)
from rwkv_chat.demo.corpus.words import is_held, listed, value
from rwkv_chat.texts import say
from rwkv_chat.tui.bindings import BINDINGS, shown_keys
from rwkv_chat.tui.slash import SLASH

if TYPE_CHECKING:
    from collections.abc import Iterable

SAMPLE = 400


def dialogues(seed: int = 1, n: int = SAMPLE) -> list[tuple[tuple[str, str], ...]]:
    return [tuple((turn.user, turn.reply) for turn in dialogue(seed, i)) for i in range(n)]


# ------------------------------------------------------------------------------------------------ patterns


def test_a_pattern_gives_only_what_its_expression_matches() -> None:
    pattern = "[a|b [c|d]|] x[|y]"
    rng = Random(1)
    texts = {pick(pattern, rng) for _ in range(200)}
    assert texts == {f"{head} x{tail}" for head in ("a", "b c", "b d", "") for tail in ("", "y")}
    assert len(texts) == count(pattern)
    assert all(re.fullmatch(to_regex(pattern), text) for text in texts)


@pytest.mark.parametrize("broken", ["[a|b", "a]", "[[a]"])
def test_an_unbalanced_pattern_is_an_error(broken: str) -> None:
    with pytest.raises(ValueError, match="unbalanced"):
        parse(broken)


# ------------------------------------------------------------------------------------------------ the corpus


def test_the_same_seed_gives_the_same_dialogues_and_another_seed_others() -> None:
    assert dialogues(n=50) == dialogues(n=50)
    assert dialogues(n=50) != dialogues(seed=2, n=50)


def test_it_covers_every_key_command_and_parameter_and_at_least_forty_facts_and_keys() -> None:
    ids = set(topics())
    assert _keys_and_commands() - UNTAUGHT <= taught_ids()
    assert {f"parameter.{name}" for name in data("parameters")} <= ids
    assert len([each for each in ids if each.startswith(("key.", "command.", "fact."))]) >= 40


def _keys_and_commands() -> set[str]:
    return {f"key.{each.id}" for each in BINDINGS} | {f"command.{each.name}" for each in COMMANDS}


def test_what_the_model_is_not_taught_is_there_and_is_little() -> None:
    assert _keys_and_commands() >= UNTAUGHT
    assert not UNTAUGHT & taught_ids()
    assert len([each for each in UNTAUGHT if each.split(".")[1] not in UNTAUGHT_SCOPES]) <= 5


def test_every_key_that_an_answer_teaches_besides_is_one_of_the_table_and_of_one_topic() -> None:
    also = [each for topic in topics().values() for each in topic.also]
    assert set(also) <= {f"key.{each.id}" for each in BINDINGS}
    assert len(also) == len(set(also))
    assert not set(also) & set(topics())


def test_every_answer_holds_what_its_topic_teaches() -> None:
    for topic in topics().values():
        assert all(topic.accepts(answer) for answer in topic.answers), topic.id


def test_an_answer_of_another_key_is_not_accepted() -> None:
    keys = [each for each in topics().values() if each.id.startswith("key.")]
    for topic in keys:
        others = [each for each in keys if each is not topic]
        assert not any(topic.accepts(answer) for each in others for answer in each.answers), topic.id


def test_no_slot_stays_open() -> None:
    for turns in dialogues():
        assert not any(re.search(r"\{\w*\}|[\[\]<>|]", user + reply) for user, reply in turns)


def _phrasings(topic: Topic) -> int:
    frames = data("frames")
    return sum(
        sum(map(count, asked.fillers)) * (sum(map(count, frames[asked.frames])) if asked.frames else 1)
        for asked in topic.questions
    )


def test_every_topic_can_be_asked_in_many_ways() -> None:
    assert not [each.id for each in topics().values() if _phrasings(each) < 30]


# ------------------------------------------------------------------------------------------------ what exists

_KEY = re.compile(r"\b(?:(?:Ctrl|Shift|Alt)\+\w+|F\d+|Escape|Page(?:Up|Down))(?!\w)")
_COMMAND = re.compile(r"rwkv-chat (?!shows|opens)([a-z]+)")
_SLASH = re.compile(r"(?<![\w/])/([a-z]+)")


def _replies() -> set[str]:
    answers = {answer for topic in topics().values() for answer in topic.answers}
    return answers | {answer for row in data("talk")["small"] for answer in row["answers"]}


def test_every_key_named_in_a_reply_is_in_the_table() -> None:
    known = {part for shown in keys_by_id().values() for part in shown.split(" or ")}
    named = {key for reply in _replies() for key in _KEY.findall(reply)}
    assert named
    assert named <= known


def test_every_command_named_in_a_reply_is_in_the_table() -> None:
    named = {name for reply in _replies() for name in _COMMAND.findall(reply)} - {"in"}
    assert named == {each.name for each in COMMANDS if f"command.{each.name}" not in UNTAUGHT}


def test_every_prompt_command_named_in_a_reply_is_in_the_table() -> None:
    named = {name for reply in _replies() for name in _SLASH.findall(reply)}
    assert named
    assert named <= {each.name for each in SLASH}


# a topic, and the setting that its answers call by its label
SETTINGS = {
    "fact.theme": "theme",
    "fact.language": "language",
    "fact.mouse": "mouse",
    "fact.enter_sends": "enter_sends",
    "fact.number_type": "dtype",
    "fact.device": "device",
}


@pytest.mark.parametrize("id_", sorted(SETTINGS))
def test_a_setting_is_called_by_its_label(id_: str) -> None:
    label = say(f"settings.{SETTINGS[id_]}.label")
    assert any(label in answer for answer in topics()[id_].answers)


def test_replies_name_nothing_that_is_not_there() -> None:
    absent = r"\b(fork|server|api|plugin|image|voice|vision|login|account)\b"
    assert not [reply for reply in _replies() if re.search(absent, reply, re.IGNORECASE)]


def test_keys_are_shown_as_people_read_them() -> None:
    assert shown_keys("shift+enter,ctrl+j") == "Shift+Enter or Ctrl+J"
    assert shown_keys("ctrl+pagedown") == "Ctrl+PageDown"


def test_ranges_and_usual_values_come_from_the_declaration() -> None:
    asked = topics()["parameter.top_p"]
    assert all("It goes from 0 to 1, usually 0.5." in each for each in asked.answers)
    assert SamplingParams().top_p == 0.5


# ------------------------------------------------------------------------------------------------ held out


def _any_of(patterns: Iterable[str]) -> str:
    return "(?:" + "|".join(patterns) + ")"


@functools.cache
def _filler(asked: Question) -> re.Pattern[str]:
    """What stands in every sentence of the question."""
    return re.compile(_any_of(map(to_regex, asked.fillers)), re.IGNORECASE)


@functools.cache
def _expressions(asked: Question) -> list[re.Pattern[str]]:
    """What a bare question can be, with a greeting before and a word after."""
    frames, filler = data("frames"), _filler(asked).pattern
    before, after = (_any_of(map(re.escape, frames["noise"][name])) for name in ("before", "after"))
    every = (
        (to_regex(each, {asked.slot: filler}) for each in frames[asked.frames]) if asked.frames else [filler]
    )
    return [re.compile(f"{before}?(?:{each}){after}?", re.IGNORECASE) for each in every]


def _can_be_asked(topic: Topic, sentence: str) -> bool:
    """Whether the patterns of the topic make the sentence; most hold nothing that it does."""
    near = [each for each in topic.questions if _filler(each).search(sentence)]
    return any(pattern.fullmatch(sentence) for each in near for pattern in _expressions(each))


def _related(id_: str) -> list[Topic]:
    """The topic, and the one that asks the other way round."""
    ids = dict.fromkeys((id_, id_.replace("key.", "does."), id_.replace("does.", "key.")))
    return [topics()[each] for each in ids if each in topics()]


def test_no_unseen_sentence_can_come_out_of_its_topics_patterns() -> None:
    leaked = [
        sentence
        for name, sentences in unseen_sentences().items()
        for sentence in sentences
        if any(_can_be_asked(each, sentence.rstrip("?.! ")) for each in _related(name))
    ]
    assert not leaked


def test_the_expressions_do_match_what_the_generator_says() -> None:
    rng = Random(3)
    for name in ("key.chat.new", "fact.gpu", "parameter.top_k", "does.chat.stop", "key.library.export"):
        for _ in range(20):
            sentence = bare(topics()[name], rng)
            assert _can_be_asked(topics()[name], sentence), sentence


def test_every_topic_of_the_program_has_at_least_three_unseen_sentences() -> None:
    found = unseen_sentences()
    assert set(found) <= set(topics())
    kinds = ("key.", "does.", "command.", "fact.", "parameter.")
    needed = [each for each in topics() if each.startswith(kinds)]
    assert not [each for each in needed if len(found.get(each, ())) < 3]


def _normal(text: str) -> str:
    return re.sub(r"[^a-z0-9+ ]", "", text.lower()).strip()


def test_no_training_message_is_a_held_out_one() -> None:
    trained = {_normal(user) for turns in dialogues(seed=7, n=1500) for user, _ in turns}
    unseen = {_normal(each) for sentences in unseen_sentences().values() for each in sentences}
    unseen |= {_normal(each) for row in data("talk")["small"] for each in row["held"]}
    unseen |= {_normal(each) for each in data("talk")["outside"]["held"]}
    assert not trained & unseen


def test_training_and_unseen_combinations_share_no_sentence() -> None:
    rng = Random(5)
    topic = topics()["key.chat.new"]
    trained = {bare(topic, rng) for _ in range(2000)}
    assert not trained & {bare(topic, rng, "combination") for _ in range(300)}


def test_held_ways_of_telling_and_asking_are_not_among_the_trained_ones() -> None:
    for kind in memory.CORE:
        row = data("memory")[kind]
        assert len(row["held_tells"]) >= 4
        for name in ("tells", "asks"):
            patterns = [re.compile(to_regex(each), re.IGNORECASE) for each in row[name]]
            assert not [x for x in row[f"held_{name}"] if any(p.fullmatch(x) for p in patterns)]


@pytest.mark.parametrize("kind", ["name", "town", "colour", "thing", "number"])
def test_held_values_never_come_up_in_training(kind: str) -> None:
    rng = Random(11)
    trained = {value(kind, rng).lower() for _ in range(3000)}  # pyright: ignore[reportArgumentType]
    held = {value(kind, rng, held=True).lower() for _ in range(500)}  # pyright: ignore[reportArgumentType]
    assert not trained & held


def test_held_real_words_are_not_trained_ones() -> None:
    for kind in ("name", "town", "colour", "thing"):
        assert not set(listed("held", kind)) & set(listed("trained", kind))


def test_the_hash_holds_out_about_one_word_in_eight() -> None:
    share = sum(is_held(f"word{i}") for i in range(4000)) / 4000
    assert 0.1 < share < 0.15


# ----------------------------------------------------------------------------------------------- memory


def test_a_correction_is_what_counts() -> None:
    rng = Random(2)
    first = memory.new_fact("town", rng)
    later = memory.changed(first, rng)
    assert later.subject == first.subject
    assert later.x.lower() != first.x.lower()
    assert memory.recalls(later, memory.answer(later, rng))
    assert memory.admits(memory.unknown(first))


def test_the_cases_of_a_seed_are_the_same_and_tell_what_they_ask() -> None:
    chosen = cases(3, scale=1)
    assert [each.messages for each in chosen] == [each.messages for each in cases(3, scale=1)]
    remembered = [each for each in chosen if each.group.startswith("memory: unseen")]
    assert {each.distance for each in remembered} == set(range(1, 11))
    assert all(len(each.messages) >= each.distance + 2 for each in remembered)


def test_a_question_differs_from_time_to_time() -> None:
    rng = Random(4)
    assert len({question(topics()["fact.self"], rng) for _ in range(50)}) > 40
