"""What stands between a log and examples: sessions, doubles, the split, and what is taken out."""

from __future__ import annotations

import pytest

from rwkv_chat.importers.forms import Conversation, Turn
from rwkv_chat.importers.redaction import Aliases, aliases, preview, redacted, secrets
from rwkv_chat.importers.sessions import MOST_HELD, held_from, sessions


def chat(*times: float | None, id_: str = "x", created: float = 0.0) -> Conversation:
    turns = tuple(
        Turn(str(at), "AB"[at % 2], "other", f"text {at}", time, str(at - 1) if at else None)
        for at, time in enumerate(times)
    )
    return Conversation("x", id_, "T", turns, created)


def test_sessions_end_where_nobody_speaks() -> None:
    found = list(sessions(chat(0, 60, 10_000, 10_060, None, 10_100, 20_000), gap=3_600))
    assert [[each.id for each in one.turns] for one in found] == [["0", "1"], ["2", "3", "4", "5"]]
    assert [(one.turns[0].parent, one.turns[1].parent) for one in found] == [(None, "0"), (None, "2")]
    assert [one.created for one in found] == [0, 10_000]
    assert len({one.id for one in found}) == 2
    assert [len(one.turns) for one in sessions(chat(None, None, None), gap=1)] == [3]


@pytest.mark.parametrize(("number", "held"), [(0, 0), (1, 0), (2, 1), (9, 1), (40, 4), (9_000, MOST_HELD)])
def test_the_latest_conversations_are_held_out(number: int, held: int) -> None:
    began = [float(-at) for at in range(number)]
    start = held_from(began)
    kept = [at for at in range(number) if start is not None and (began[at], at) >= start]
    assert kept == list(range(held))  # the first in the file began last


def test_without_times_the_last_of_the_file_are_held_out() -> None:
    assert held_from([None] * 20) == (0.0, 18)
    assert held_from([None, 5.0, None, 3.0]) == (5.0, 1)
    assert held_from([1.0, 2.0], share=0) is None


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        *(("write to a.b+c@mail.example.org now", ["e-mail"]), ("4111 1111 1111 1111", ["card"])),
        *(("DE89 3704 0044 0532 0130 00", ["account"]), ("call +49 (30) 901820-11!", ["phone"])),
        *(("on 2024-01-05 at 10:30", []), ("version 1.2.3.4 of 12 parts", []), ("a@b", [])),
        ("x@y.example and 030/1234567", ["e-mail", "phone"]),
    ],
)
def test_what_is_taken_out(text: str, kinds: list[str]) -> None:
    found = secrets(text)
    assert [each.kind for each in found] == kinds
    assert [secrets(redacted(text, found))] == [()]
    assert (redacted(text, found) == text) == (not kinds)
    assert [kind for _, kind in preview([text])] == kinds


def test_a_wrong_check_digit_is_no_card_and_no_account() -> None:
    assert "card" not in {each.kind for each in secrets("4111 1111 1111 1112")}
    assert "account" not in {each.kind for each in secrets("DE88 3704 0044 0532 0130 00")}


def test_redaction_is_quick_on_odd_texts() -> None:
    for odd in ("1" * 20_000, "a@" * 20_000, "+" * 20_000, "1 " * 10_000, "A1" * 10_000, "." * 20_000 + "@"):
        assert redacted(odd, secrets(odd))


def test_aliases_are_stable_and_whole_words() -> None:
    given = aliases(["Ann", "Ann Lee", "Bob", "Ann"])
    assert given == {"Ann": "Person A", "Ann Lee": "Person B", "Bob": "Person C"}
    assert Aliases(given)("Ann Lee met Ann and Annie") == "Person B met Person A and Annie"
    assert list(aliases(map(str, range(28))).values())[-2:] == ["Person AA", "Person AB"]
    assert Aliases({})("Ann") == "Ann"


def test_first_names_and_names_without_spaces_have_aliases() -> None:
    told = Aliases(aliases(["Maria Weiss", "John Roe", "John Doe", "An Li", "李雷", "the fox"]))
    assert told("Maria, John and An: the end") == "Person A, John and An: the end"
    assert told("我和李雷去吃饭") == "我和Person E去吃饭"
