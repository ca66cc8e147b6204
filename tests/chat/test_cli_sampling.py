"""Sampling in line mode and in `ask`: values, presets, tokens, a reply that repeats itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rwkv_chat.cli.line_mode import LineMode
from rwkv_chat.texts import say
from tests.fakes import FakeEngine, FakeReply

if TYPE_CHECKING:
    from tests.chat.command_line import Cli

CHAT = ("chat", "--plain")


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line mode asks, as where a person types."""
    always = property(lambda _: True, lambda _, value: None)
    monkeypatch.setattr(LineMode, "_asked", always, raising=False)


def test_values_of_one_conversation(cli: Cli, engine: FakeEngine) -> None:
    lines = (
        "/set temperature 0.8",
        "/set stop END, \\nUser:",
        "/set ban #7, word",
        "hi",
        "/set top-k 5",
        "ho",
    )
    said = cli(*CHAT, stdin="\n".join((*lines, "/set temperature", "hm", "/new", "other")))
    first, second, third, other = engine.requests
    assert (first.params.temperature, first.params.top_k, first.params.bans) == (0.8, 0, (7,))
    assert first.stop.texts[-2:] == ("END", "\nUser:")
    assert (second.params.temperature, second.params.top_k) == (0.8, 5)
    assert (third.params.temperature, third.params.top_k) == (1.0, 5)
    assert (other.params.top_k, other.params.bans) == (0, ())
    assert "word" in said.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/set temperature 9", "from 0 to 5"),
        ("/set top_k 1.5", "from 0 to 65536"),
        ("/set warmth 1", "presence_penalty"),
        ("/set stop " + "x" * 300, "200"),
    ],
)
def test_what_cannot_be_set_says_what_can(cli: Cli, engine: FakeEngine, line: str, words: str) -> None:
    assert words in cli(*CHAT, stdin=line).err
    assert not engine.requests


def test_all_values_are_shown(cli: Cli, engine: FakeEngine) -> None:
    said = cli(*CHAT, stdin="/set min-p 0.05\n/set stop a,b\n/set")
    rows = dict(line.split(maxsplit=1) for line in said.out.splitlines() if len(line.split()) > 1)
    assert (rows["min_p"], rows["stop"], rows["max_tokens"]) == ("0.05", "a, b", "256")


def test_presets(cli: Cli, engine: FakeEngine) -> None:
    said = cli(*CHAT, stdin="/preset\n/preset creative\nhi\n/preset nothing")
    assert len(said.out.splitlines()) >= 5
    assert engine.requests[0].params.presence_penalty == 2.0
    assert "nothing" in said.err


def test_tokens_of_a_reply(cli: Cli, engine: FakeEngine) -> None:
    said = cli(*CHAT, stdin="/tokens\nhi\n/tokens\n/tokens 1")
    assert say("cli.chat.no_conversation") in said.err
    rows = [line for line in said.out.splitlines() if "bits" in line]
    assert len(rows) == len(" Hello there.") + len("User: hi\n\nAssistant:")
    assert "50.0%" in rows[0]


def test_a_reply_that_repeats_itself_is_only_told_of_where_nobody_can_answer(
    cli: Cli, engine: FakeEngine
) -> None:
    engine.replies = [FakeReply(" la la", reason="repeats")]
    assert say("cli.ask.repeats") in cli("ask", "sing").err
    said = cli(*CHAT, stdin="sing")
    assert say("app.repeats.text") in said.err
    assert len(engine.requests) == 2


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize("before", ["", "/text\n"], ids=["chat", "text"])
@pytest.mark.parametrize(("answer", "repeats", "raised"), [("g", False, 0.0), ("Raise", True, 0.4)])
def test_a_person_says_how_it_goes_on(
    cli: Cli, engine: FakeEngine, answer: str, repeats: bool, raised: float, before: str
) -> None:
    engine.replies = [FakeReply(" la la", reason="repeats"), " and the end."]
    said = cli(*CHAT, stdin=f"{before}sing\n{answer}\n")
    assert "and the end." in said.out
    first, second = engine.requests
    assert second.repeats is repeats
    assert second.params.frequency_penalty == pytest.approx(first.params.frequency_penalty + raised)


@pytest.mark.usefixtures("at_a_terminal")
def test_a_person_stops_it(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = [FakeReply(" la la", reason="repeats")]
    cli(*CHAT, stdin="sing\ns\n")
    assert len(engine.requests) == 1
