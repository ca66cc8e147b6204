"""From logs and conversations to rows to train on: a chat's own tokens, the loss on answers alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.tokenizer_world import world_tokenizer
from rwkv_chat import example_words
from rwkv_chat.session.errors import ConsentMissing, ConversationsInvalid, NothingToTrain, SpeakersUnknown
from rwkv_chat.session.examples import look, rows, survey
from rwkv_chat.session.examples_types import (
    AGREED,
    Branch,
    Filters,
    Found,
    LogFile,
    Looked,
    Row,
    Selection,
    Voice,
)
from rwkv_chat.session.examples_voice import branches_of, voice_of
from rwkv_chat.templates import names as template_names
from rwkv_chat.templates import template
from tests.chat.logs import LOGS
from tests.chat.talk import answered, begin
from tests.fakes import FakeEngine, FakeReply

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Session
    from rwkv_chat.session.examples_types import Part

WORLD = Voice(template("classic"), world_tokenizer(), 65536, "classic")
BOT = replace(WORLD, template=template("bot"))
Message = tuple[str, str]


def dialogue(path: Path, *told: list[Message], name: str = "log.jsonl") -> Selection:
    """A selection of dialogues that are given as roles and texts."""
    path = path / name
    records = [{"messages": [{"role": role, "content": text} for role, text in one]} for one in told]
    path.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")
    return Selection(files=(LogFile(path),))


def messenger(path: Path, *told: tuple[float, str, str], people: str = "personal_chat") -> Selection:
    """A chat between people: minute, who, what."""
    messages = [
        {
            "id": number,
            "type": "message",
            "date_unixtime": str(int(1_700_000_000 + 60 * minute)),
            "from": who,
            "from_id": f"user{who}",
            "text": text,
        }
        for number, (minute, who, text) in enumerate(told)
    ]
    path = path / "result.json"
    path.write_text(json.dumps({"name": "B", "type": people, "id": 7, "messages": messages}), "utf-8")
    return Selection(files=(LogFile(path, speaker="Ann"),), aliases=False, consent=AGREED)


def all_rows(selection: Selection, voice: Voice = WORLD, found: Found | None = None) -> list[Row]:
    found = found or look(selection, voice)
    parts: tuple[Part, ...] = ("train", "validation")
    return [
        each for part in parts for each in rows(selection, voice, found, part) if not isinstance(each, Looked)
    ]


def masked(row: Row, voice: Voice = WORLD) -> str:
    """The row as text, what is learnt in braces; 0 as a dot."""
    told, before = "", False
    for token, weight in zip(*row, strict=True):
        if bool(weight) != before:
            told, before = told + ("{" if weight else "}"), bool(weight)
        told += voice.tokenizer.decode_bytes((token,)).decode() if token else "·"
    return told + ("}" if before else "")


# ---------------------------------------------------------------------- what is learnt


def test_the_loss_falls_on_answers_what_ends_them_and_the_end(tmp_path: Path) -> None:
    told: list[Message] = [
        *(("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello\n\nyou")),
        *(("user", "Bye"), ("assistant", "Bye"), ("user", "?")),
    ]
    selection = dialogue(tmp_path, told)
    assert [masked(each) for each in all_rows(selection)] == [
        "·System: Be kind.\n\nUser: Hi\n\nAssistant:{ Hello\nyou\n\nUser:} Bye\n\nAssistant:{ Bye·}"
    ]
    assert [masked(each, BOT) for each in all_rows(selection, BOT)] == [
        "·System✿Be kind.✿\nUser✿Hi✿\nBot✿{Hello\n\nyou✿}\nUser✿Bye✿\nBot✿{Bye✿·}"
    ]


def test_answers_that_a_log_marks_are_read_and_not_learnt(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    said = [("user", "Hi", 1), ("assistant", "No", 0), ("user", "Hm", 1), ("assistant", "Yes a@b.example", 1)]
    said += [("user", "Bye", 1), ("assistant", "Never a@b.example", 0)]
    messages = [{"role": role, "content": text, "weight": weight} for role, text, weight in said]
    path.write_text(json.dumps({"messages": messages}) + "\n" + json.dumps({"messages": messages[:2]}) + "\n")
    selection = Selection(files=(LogFile(path),))
    (row,) = all_rows(selection)
    assert masked(row) == (
        "·User: Hi\n\nAssistant: No\n\nUser: Hm\n\nAssistant:{ Yes [e-mail]\n\nUser:} Bye\n\n"
        "Assistant: Never [e-mail]·"
    )
    assert look(selection, WORLD).skipped == {"one-sided": 1}


@pytest.mark.parametrize("name", template_names())
def test_every_template_renders_and_masks(name: str, tmp_path: Path) -> None:
    voice = replace(WORLD, template=template(name))
    ((tokens, weights),) = all_rows(dialogue(tmp_path, [("user", "one"), ("assistant", "two")]), voice)
    learnt = bytes(voice.tokenizer.decode_bytes(tuple(t for t, w in zip(tokens, weights, strict=True) if w)))
    assert learnt.decode().strip().removesuffix("✿") == "two"
    assert tokens[-1] == 0
    assert weights[-1] == 1
    assert len(tokens) == len(weights)
    assert set(weights) == {0.0, 1.0}


def test_a_text_that_nobody_asked_for_is_learnt_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"text": "Once\n\nupon"}) + "\n" + json.dumps({"text": "a time"}) + "\n")
    found = all_rows(Selection(files=(LogFile(path),)))
    assert sorted(map(masked, found)) == ["·{Once\n\nupon·}", "·{a time·}"]


# ---------------------------------------------------------------------- as in the chat


async def talk(session: Session, *said: str) -> str:
    thread = None
    for each in said:
        thread = (await answered(session.chats.send(thread, each))).thread.id
    assert thread is not None
    return thread


async def test_tokens_are_those_that_the_session_feeds(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([FakeReply(" First."), FakeReply(" Second\nline.")])
    session = await begin(opened, tmp_path, engine)
    thread = await talk(session, "Hi\n\nthere", "And?")
    last, reply = engine.requests[-1], session.models.speaker.tokenizer.encode(" Second\nline.")  # type: ignore[union-attr]
    fed = (*last.history, *last.prompt, *reply)
    voice = voice_of(session.models.speaker)  # type: ignore[arg-type]
    chosen = Selection(branches=(Branch(thread),))
    read = branches_of(session.library, voice)
    found = await asyncio.to_thread(look, chosen, voice, read)
    (ours,) = await asyncio.to_thread(lambda: list(rows(chosen, voice, found, "train", read)))
    log = dialogue(
        tmp_path,
        [("user", "Hi\n\nthere"), ("assistant", "First."), ("user", "And?"), ("assistant", "Second\nline.")],
    )
    (theirs,) = all_rows(log, voice)
    assert ours[0] == theirs[0] == (*fed, 0)  # type: ignore[index]
    assert ours[1] == theirs[1]  # type: ignore[index]
    assert (found.conversations, found.turns) == (1, 4)


async def test_an_answer_that_was_cut_teaches_no_end(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([FakeReply(" Fir", reason="length")]))
    thread = await talk(session, "Hi", "And?")
    voice = voice_of(session.models.speaker)  # type: ignore[arg-type]
    chosen, read = Selection(branches=(Branch(thread),)), branches_of(session.library, voice)
    found = await asyncio.to_thread(look, chosen, voice, read)
    (row,) = await asyncio.to_thread(lambda: list(rows(chosen, voice, found, "train", read)))
    told = masked(row, voice)  # type: ignore[arg-type]
    assert told == "·User: Hi\n\nAssistant:{ Fir}\n\nUser: And?\n\nAssistant:{ Fir}·"


async def test_a_branch_ends_where_it_was_chosen(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine([" one", " two"]))
    thread = await talk(session, "a", "b")
    nodes = (await session.chats.open(thread)).nodes
    voice = voice_of(session.models.speaker, "bot")  # type: ignore[arg-type]
    chosen, read = Selection(branches=(Branch(thread, nodes[1].id),)), branches_of(session.library, voice)
    found = await asyncio.to_thread(look, chosen, voice, read)
    assert [each.text for each in found.examples[0].pieces] == ["␀User✿a✿\nBot✿", "one✿␀"]
    assert [each.kind for each in found.warnings] == ["few", "template", "no-validation"]


# ---------------------------------------------------------------------- messengers


def test_bursts_are_lines_and_sessions_end_at_gaps(tmp_path: Path) -> None:
    selection = messenger(
        tmp_path,
        *((0, "Ann", "an opener"), (1, "Bob", "hi"), (1, "Bob", "you there?")),
        *((2, "Ann", "yes"), (3, "Ann", "here"), (4, "Bob", "nobody answers")),
        *((100, "Bob", "again"), (101, "Ann", "later")),
    )
    assert [masked(each) for each in all_rows(selection)] == [
        "·User: hi\nyou there?\n\nAssistant:{ yes\nhere·}",
        "·User: again\n\nAssistant:{ later·}",
    ]
    found = look(selection, WORLD)
    assert (found.people, found.speakers, found.needs_consent) == (("Ann", "Bob"), ("Ann",), True)


def test_in_groups_the_others_say_who_they_are(tmp_path: Path) -> None:
    told = [(0, "Bob", "hi"), (1, "Cleo", "ho"), (2, "Ann", "hello"), (100, "Bob", "so?"), (101, "Ann", "!")]
    selection = messenger(tmp_path, *told, people="private_group")
    first, second = (masked(each) for each in all_rows(selection))
    assert first == "·User: Bob: hi\nCleo: ho\n\nAssistant:{ hello·}"
    assert second == "·User: Bob: so?\n\nAssistant:{ !·}"  # a group's member, though nobody else spoke
    first, _ = (masked(each) for each in all_rows(replace(selection, aliases=True)))
    assert first == "·User: Person A: hi\nPerson B: ho\n\nAssistant:{ hello·}"


def test_names_that_come_later_have_their_aliases_from_the_first_line_on(tmp_path: Path) -> None:
    selection = messenger(
        tmp_path, (0, "Bob", "where is Cleo?"), (1, "Ann", "Cleo comes"), (2, "Cleo", "hi"), (3, "Ann", "ah")
    )
    (row,) = all_rows(replace(selection, aliases=True))
    assert "Cleo" not in masked(row)
    assert "Person A: where is Person C?" in masked(row)


def test_other_peoples_messages_need_a_word(tmp_path: Path) -> None:
    selection = replace(messenger(tmp_path, (0, "Bob", "hi"), (1, "Ann", "ho")), consent="")
    found = look(selection, WORLD)
    with pytest.raises(ConsentMissing, match="'Bob', 'Ann'"):
        list(rows(selection, WORLD, found, "train"))
    assert all_rows(replace(selection, consent=AGREED), WORLD, found)


def test_who_is_the_assistant_must_be_known(tmp_path: Path) -> None:
    selection = messenger(tmp_path, (0, "Bob", "hi"), (1, "Ann", "ho"))
    for speaker in ("", "Nobody"):
        with pytest.raises(SpeakersUnknown, match="'Bob', 'Ann'"):
            look(replace(selection, files=(replace(selection.files[0], speaker=speaker),)), WORLD)
    other = replace(selection.files[0], speaker="bob")
    with pytest.raises(NothingToTrain):  # Bob opens, and never answers
        look(replace(selection, files=(other,)), WORLD)


# ---------------------------------------------------------------------- what is left out


def pair(question: str, answer: str) -> list[Message]:
    return [("user", question), ("assistant", answer)]


@pytest.mark.parametrize(
    ("filters", "question", "reason"),
    [
        (Filters(blocklist=("SECRET",)), "a secret thing", "blocked"),
        (Filters(longest=10), "longer than that", "too-long"),
        (Filters(shortest=3), "hm", "too-short"),
        (Filters(), "https://a.example/b www.c.example", "links"),
        (Filters(fewest=3), "a question", "few-messages"),
        (Filters(languages=("de",)), "this is what you and the others have said", "language"),
    ],
)
def test_what_is_left_out_is_counted(filters: Filters, question: str, reason: str, tmp_path: Path) -> None:
    good = [*pair("Das ist ja", "nicht so"), *pair("und noch", "eine")]
    selection = replace(dialogue(tmp_path, pair(question, "fine"), good), filters=filters)
    found = look(selection, WORLD)
    assert found.skipped[reason] == 1  # type: ignore[index]
    assert found.conversations == 1
    assert found.turns == 4
    assert not any("fine" in masked(each) for each in all_rows(selection))


def test_media_is_a_word_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    lines = ("Bob: hi", "Bob: <attached: 1-PHOTO-of-Ann.jpg>", "Ann: ho", "Ann: image omitted")
    path.write_text("".join(f"[31/12/2024, 21:05:{at}0] {each}\n" for at, each in enumerate(lines)))
    plain = Selection(files=(LogFile(path, speaker="Ann"),), aliases=False, consent=AGREED)
    words = replace(plain, filters=Filters(media="word"))
    assert masked(all_rows(plain)[0]) == "·User: hi\n\nAssistant:{ ho·}"
    assert look(plain, WORLD).skipped["media"] == 2
    assert masked(all_rows(words)[0]) == "·User: hi\n[image]\n\nAssistant:{ ho\n[image]·}"


def test_what_was_said_before_is_left_out(tmp_path: Path) -> None:
    long = " ".join(f"word{at}" for at in range(200))
    selection = dialogue(
        tmp_path,
        pair("q", "a"),
        pair("q ", "a"),
        pair(long, "yes"),
        pair(f"{long} more", "yes"),
        pair("a", "q"),
    )
    found = look(selection, WORLD)
    assert (found.conversations, found.skipped) == (3, {"double": 1, "alike": 1})
    assert "doubles" in {each.kind for each in found.warnings}
    exact = replace(selection, filters=Filters(alike=0.0))
    assert look(exact, WORLD).skipped == {"double": 1}


def test_secrets_are_taken_out_and_shown_first(tmp_path: Path) -> None:
    selection = dialogue(tmp_path, pair("mail a@b.example", "call +49 30 901820-11"))
    found = look(selection, WORLD)
    assert found.redacted == {"e-mail": 1, "phone": 1}
    assert found.redactions == (("a@b.example", "e-mail"), ("+49 30 901820-11", "phone"))
    assert masked(all_rows(selection)[0]) == "·User: mail [e-mail]\n\nAssistant:{ call [phone]·}"
    assert not look(replace(selection, redact=()), WORLD).redacted


# ---------------------------------------------------------------------- what is found


def test_train_and_validation_are_all_and_apart(tmp_path: Path) -> None:
    selection = dialogue(tmp_path, *[pair(f"question {at} of {at * at}", f"{at}") for at in range(30)])
    selection = replace(selection, filters=Filters(alike=0.0))
    found = look(selection, WORLD)
    train = [each for each in rows(selection, WORLD, found, "train") if not isinstance(each, Looked)]
    held = [each for each in rows(selection, WORLD, found, "validation") if not isinstance(each, Looked)]
    assert (len(train), len(held)) == (found.train.examples, found.validation.examples) == (27, 3)
    assert found.train.tokens == sum(len(tokens) for tokens, _ in train)
    assert found.validation.learned == sum(sum(weights) for _, weights in held)
    assert found.longest == max(len(tokens) for tokens, _ in train + held)
    assert [masked(each) for each in held] == [
        f"·User: question {at} of {at * at}\n\nAssistant:{{ {at}·}}" for at in (27, 28, 29)
    ]


def test_what_is_found_is_told_in_words(tmp_path: Path) -> None:
    broken = dialogue(tmp_path, pair("hi", "User: ho")).files[0].path
    broken.write_text(broken.read_text() + "{broken\n")
    lines = example_words.lines(look(Selection(files=(LogFile(broken),)), BOT))
    assert lines[0] == "1 conversations, 2 messages, 1 left out because 1 damaged."
    assert any("classic" in each for each in lines)
    assert not any("begins like a turn" in each for each in lines)
    lines = example_words.lines(look(Selection(files=(LogFile(broken),)), WORLD))
    assert any("begins like a turn" in each for each in lines)


def test_looking_twice_finds_the_same(tmp_path: Path) -> None:
    selection = dialogue(tmp_path, *[pair(f"q{at}", f"a{at}") for at in range(50)])
    assert look(selection, WORLD) == look(selection, WORLD)
    assert len(look(selection, WORLD).examples) == 3


def test_nothing_and_no_log(tmp_path: Path) -> None:
    with pytest.raises(NothingToTrain):
        look(Selection(), WORLD)
    (tmp_path / "x.txt").write_text("nothing of the kind")
    with pytest.raises(ConversationsInvalid):
        look(Selection(files=(LogFile(tmp_path / "x.txt"),)), WORLD)


@pytest.mark.parametrize("name", sorted(each.name for each in LOGS.iterdir()))
def test_every_format_gives_examples_or_says_why_not(name: str) -> None:
    """Each person of each sample as the assistant; rows are whole, whatever the log."""
    path, speakers = LOGS / name, {""}
    try:
        speakers = set(look(Selection(files=(LogFile(path),)), WORLD).people) or {""}
    except SpeakersUnknown as unknown:
        speakers = set(unknown.names)
    except NothingToTrain:
        speakers = {""}
    for speaker in speakers:
        selection = Selection(files=(LogFile(path, speaker=speaker),), consent=AGREED)
        try:
            found = look(selection, WORLD)
        except NothingToTrain:
            continue
        made = all_rows(selection, WORLD, found)
        assert len(made) == found.conversations
        assert all(tokens[0] == tokens[-1] == 0 and any(weights) for tokens, weights in made)


def test_progress_is_told(tmp_path: Path) -> None:
    *looked, found = survey(dialogue(tmp_path, pair("q", "a")), WORLD)
    assert isinstance(found, Found)
    assert looked[-1] == Looked(0, looked[-1].total, looked[-1].total)  # type: ignore[union-attr]
