"""The built-in model's files: tokenizer, rendering, the facts it was taught, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.models import ARCHITECTURES
from engine.tokenizer import load_tokenizer
from engine.types import TokenizerRef
from engine.weights.archive import NAMINGS, READERS
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.cli.models import MODELS
from rwkv_chat.cli.models_pull import PLACES
from rwkv_chat.demo import card, evaluate, render, vocabulary
from rwkv_chat.demo.cases import cases, sample
from rwkv_chat.demo.converse import converse
from rwkv_chat.demo.corpus.dialogues import dialogue
from rwkv_chat.demo.corpus.topics import keys_by_id, topics
from rwkv_chat.library.erase import TRASH_DAYS
from rwkv_chat.paths import resource
from rwkv_chat.session.cards import builtin
from rwkv_chat.texts import languages

if TYPE_CHECKING:
    from engine.models.rwkv7 import Rwkv7
    from engine.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A small one, made from few dialogues."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(vocabulary.build(1, dialogues=200, size=600).to_str())
    return load_tokenizer(TokenizerRef("json", str(path)))


def test_the_same_seed_builds_the_same_tokenizer() -> None:
    first, second = (vocabulary.build(1, dialogues=100, size=500).to_str() for _ in range(2))
    assert first == second


def test_every_byte_can_be_encoded_and_comes_back(tokenizer: Tokenizer) -> None:
    data = bytes(range(256))
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data
    text = "Grüße, 你好 🙂 \x00\x7f\n\ttab"
    assert tokenizer.decode_bytes(tokenizer.encode(text)).decode() == text


def test_id_0_ends_a_document_and_is_never_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_bytes(0) == b""
    assert 0 not in tokenizer.encode(vocabulary.END_NAME)


def test_turn_by_turn_and_whole_encoding_agree(tokenizer: Tokenizer) -> None:
    for i in range(200):
        turns = dialogue(9, i)
        tokens, weights = render.row(turns, tokenizer)
        assert list(tokens) == [render.END, *tokenizer.encode(render.whole_text(turns)), render.END]
        assert len(weights) == len(tokens)


def test_replies_and_their_ends_count_and_users_words_hardly(tokenizer: Tokenizer) -> None:
    turns = dialogue(9, 1)
    tokens, weights = render.row(turns, tokenizer)
    said = tokenizer.encode(f" {turns[0].reply}")
    at = next(i for i in range(len(tokens)) if tuple(tokens[i : i + len(said)]) == said)
    assert set(weights[1:at]) == {render.USER_WEIGHT}
    assert set(weights[at : at + len(said)]) == {turns[0].weight}
    assert weights[at + len(said)] == 1.0
    assert weights[-1] == 1.0


def test_rows_go_on_at_any_position(tokenizer: Tokenizer) -> None:
    source = render.rows(3, tokenizer, window=16, size=4)
    first = [row for _, row in zip(range(40), source(0), strict=False)]
    assert [row for _, row in zip(range(20), source(20), strict=False)] == first[20:]


# ----------------------------------------------------------------------------------------- taught facts


def _taught() -> list[card.Taught]:
    return list(card.read(resource("assets/demo/model.toml")))


def test_it_lists_what_it_was_taught() -> None:
    found = _taught()
    assert len(found) == len({each.id for each in found}) >= 40
    assert {each.kind for each in found} == {"key", "command", "parameter", "fact"}


def test_every_key_it_was_taught_is_still_that_key() -> None:
    shown = keys_by_id()
    keys = [each for each in _taught() if each.kind == "key"]
    wrong = [each for each in keys if shown.get(each.id.partition(".")[2]) != each.value[0]]
    assert not wrong, "keys changed: train the built-in model again (make demo-model)"


def test_every_key_it_was_taught_beside_another_is_still_that_key() -> None:
    shown, taught = keys_by_id(), {each.id: each.value for each in _taught()}
    besides = [(topic.id, each) for topic in topics().values() if topic.id in taught for each in topic.also]
    wrong = [
        (id_, each)
        for id_, each in besides
        if shown[each.partition(".")[2]].partition(" or ")[0] not in taught[id_]
    ]
    assert not wrong, "keys changed: train the built-in model again (make demo-model)"


def test_every_command_it_was_taught_is_still_there() -> None:
    known = {f"rwkv-chat {each.name}" for each in COMMANDS}
    commands = [each for each in _taught() if each.kind == "command"]
    assert commands
    assert not [each for each in commands if not each.value[0].startswith(tuple(known))]


def test_usual_values_and_ranges_it_was_taught_are_still_true() -> None:
    spans = {x for each in topics().values() for x in each.value if x.startswith("It goes from")}
    taught = {x for each in _taught() if each.kind == "parameter" for x in each.value}
    stated = {x for x in taught if x.startswith("It goes from")}
    assert stated
    assert stated <= spans


def _text(name: str) -> str:
    return (Path(__file__).parents[2] / name).read_text(encoding="utf-8")


def _teaches(id_: str, *value: str) -> bool:
    """Whether every right answer on the topic holds these words."""
    return next(each.value for each in _taught() if each.id == id_) == value


# a taught fact, and what makes it true
TRUE_BECAUSE = {
    "fact.home_variable": lambda: "RWKV_CHAT_HOME" in _text("rwkv_chat/paths.py"),
    "fact.licence": lambda: "Apache License" in _text("LICENSE"),
    "fact.python": lambda: 'requires-python = ">=3.11"' in _text("pyproject.toml"),
    "fact.versions": lambda: (
        _teaches("fact.versions", "RWKV 4 to 7")
        and {each[: len("rwkv4")] for each in ARCHITECTURES} == {f"rwkv{n}" for n in range(4, 8)}
    ),
    "fact.formats": lambda: (
        _teaches("fact.formats", ".pth", ".safetensors", "GGUF")
        and {"pth", "safetensors", "gguf", "folder", "web-rwkv"} <= {*READERS, *NAMINGS}
    ),
    "fact.model_file": lambda: 'repository = "BlinkDL/rwkv7-g1"' in _text("assets/models.toml"),
    "command.models": lambda: {"list", "pull", "import", "convert", "rm"} <= set(MODELS),
    "key.library.restore": lambda: TRASH_DAYS == 30,
    "fact.private": lambda: '"--private"' in _text("rwkv_chat/cli/main.py"),
    "fact.mirror": lambda: "modelscope" in PLACES,
    "fact.language": lambda: set(languages()) == {"en", "zh", "ja"},
    "fact.launch": lambda: 'rwkv-chat = "rwkv_chat' in _text("pyproject.toml"),
    "fact.self": lambda: builtin().builtin,
}


@pytest.mark.parametrize("fact", sorted(TRUE_BECAUSE))
def test_a_fact_it_was_taught_is_still_true(fact: str) -> None:
    assert fact not in {each.id for each in _taught()} or TRUE_BECAUSE[fact]()


def test_writing_the_list_keeps_what_stands_above_it(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text('name = "x"\n')
    card.write(path)
    card.write(path)
    assert path.read_text().startswith('name = "x"\n')
    assert card.read(path) == card.taught()


# ----------------------------------------------------------------------------------------- what it answers

# shares of a small seeded sample, somewhat below what assets/demo/README.md reports
THRESHOLDS = {
    "how-to: unseen combinations and frames": 0.75,
    "how-to: unseen sentences": 0.4,
    "memory: unseen values": 0.8,
    "memory: unseen asking": 0.5,
    "don't know: outside (new values)": 0.8,
}


@pytest.fixture(scope="module")
def guide() -> tuple[Rwkv7, Tokenizer]:
    return evaluate.open_model(resource("assets/demo"))


def test_it_fits_into_sixteen_megabytes() -> None:
    folder = resource("assets/demo")
    assert sum((folder / name).stat().st_size for name in ("demo.safetensors", "tokenizer.json")) < 16e6


def test_it_answers_the_suggestions_well(guide: tuple[Rwkv7, Tokenizer]) -> None:
    suggestions = builtin().suggestions
    assert len(suggestions) == 3
    first, second, third = (replies[0] for replies in converse([[x] for x in suggestions], *guide))
    assert topics()["fact.abilities"].accepts(first)
    assert topics()["key.app.models"].accepts(second)
    assert "Biscuit" in third


# what the program has learnt since the first guide, as somebody might ask
LATER = (
    ("fact.versions", "Which versions of RWKV can it run?"),
    ("fact.versions", "Can I use RWKV-6 models here?"),
    ("fact.formats", "Which file formats can be loaded?"),
    ("fact.formats", "Does it open GGUF files?"),
    ("fact.model_file", "Where can I download a model?"),
    ("key.app.models", "How do I get a better model?"),
    ("key.chat.thoughts", "How do I see the thoughts of the model?"),
    ("key.chat.manner", "How do I change the think mode?"),
    ("key.chat.exact_prompt", "How can I see the exact prompt?"),
    ("command.models", "How do I download a model from the shell?"),
    ("does.chat.thoughts", "What does Ctrl+T do?"),
    ("does.chat.manner", "What does F7 do?"),
    ("does.chat.exact_prompt", "What does Ctrl+R do?"),
    ("does.models", "What does rwkv-chat models do?"),
    ("key.message.edit", "How do I edit a message?"),
    ("key.message.branch", "How do I branch a chat?"),
    ("key.chat.undo", "How do I undo the last step?"),
    ("key.library.search", "How do I search my chats?"),
    ("key.library.export", "How do I export a chat as Markdown?"),
    ("key.library.import", "How do I import my ChatGPT chats?"),
    ("key.states.save", "How do I save a persona?"),
    ("key.tune.new", "How do I tune a model on my chats?"),
    ("fact.theme", "How do I change the theme?"),
    ("fact.language", "How do I change the language of the program?"),
    ("fact.private", "How do I start a private chat?"),
    ("fact.read", "Can you read a book?"),
    ("command.backup", "How do I back up my chats?"),
    ("does.app.library", "What does Ctrl+L do?"),
    ("does.app.settings", "What does F12 do?"),
    ("does.tune", "What does rwkv-chat tune do?"),
)


def test_it_tells_what_the_program_has_learnt_since(guide: tuple[Rwkv7, Tokenizer]) -> None:
    said = list(converse([[question] for _, question in LATER], *guide))
    wrong = [
        (question, replies[0])
        for (topic, question), replies in zip(LATER, said, strict=True)
        if not topics()[topic].accepts(replies[0])
    ]
    assert len(wrong) * 10 <= len(LATER), wrong


def test_it_remembers_a_suggestion_when_asked_later(guide: tuple[Rwkv7, Tokenizer]) -> None:
    said = [[builtin().suggestions[2], "hello", "What is my cat called?"]]
    assert "Biscuit" in next(iter(converse(said, *guide)))[-1]


def test_it_passes_a_small_sample_of_the_evaluation(guide: tuple[Rwkv7, Tokenizer]) -> None:
    chosen = sample([each for each in cases(1) if each.distance < 6], 12, 1)
    found = evaluate.scores(evaluate.outcomes(chosen, *guide))
    short = {group: found[group] for group, least in THRESHOLDS.items() if found[group].share < least}
    assert not short


def test_many_conversations_at_once_say_what_each_says_alone(guide: tuple[Rwkv7, Tokenizer]) -> None:
    said = [["hello"], ["my name is Ada", "what is my name"], ["how do i quit?"]]
    together = list(converse(said, *guide))
    assert together == [next(iter(converse([each], *guide))) for each in said]
