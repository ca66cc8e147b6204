"""Think modes, templates, system messages and the exact prompt on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fakes import ByteTokenizer

if TYPE_CHECKING:
    from tests.chat.command_line import Cli
    from tests.fakes import FakeEngine

THOUGHT = ">Hm.\n</think>\nYes."


def fed(engine: FakeEngine, place: int = -1) -> str:
    """A whole chain as text."""
    request = engine.requests[place]
    return ByteTokenizer().decode_bytes((*request.history, *request.prompt)).decode()


def test_thoughts_go_to_stderr_under_a_heading(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (THOUGHT,)
    said = cli("ask", "Hi", "--think", "free")
    assert (said.code, said.out) == (0, "Yes.\n")
    assert said.err.startswith("Thinking:\nHm.\n")
    assert fed(engine) == "User: Hi\n\nAssistant: <think"


def test_a_thought_that_is_cut_ends_its_line(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (">Hm",)
    said = cli("ask", "Hi", "--think", "free")
    assert said.err.startswith("Thinking:\nHm\n")
    assert "gave no answer" in said.err


def test_json_has_the_thoughts_and_stderr_has_none(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (THOUGHT,)
    said = cli("ask", "Hi", "--think", "free", "--json")
    record = json.loads(said.out)
    assert (record["answer"], record["reasoning"]) == ("Yes.", "Hm.\n")
    assert "Hm" not in said.err


def test_fast_thinking_shows_nothing_of_it(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (">\nYes.",)
    said = cli("ask", "Hi", "--think", "fast")
    assert said.out == "Yes.\n"
    assert "Thinking:" not in said.err
    assert fed(engine) == "User: Hi\n\nAssistant: <think>\n</think"


def test_a_template_and_a_system_message(cli: Cli, engine: FakeEngine) -> None:
    cli("ask", "Hi\n", "--template", "bot", "--system", "Be kind.")
    assert fed(engine) == "System✿Be kind.✿\nUser✿Hi✿\nBot✿"
    assert engine.requests[-1].stop.texts == ("✿",)


def test_a_mode_that_the_template_does_not_have_is_told(cli: Cli, engine: FakeEngine) -> None:
    said = cli("ask", "Hi", "--template", "raven", "--think", "lot")
    assert fed(engine) == "Bob: Hi\n\nAlice:"
    assert "raven has no think mode lot" in said.err


def test_a_mode_that_the_model_does_not_know_is_told(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (THOUGHT,)
    said = cli("ask", "Hi", "--think", "lot")
    assert said.out == "Yes.\n"
    assert "was not trained on think mode lot" in said.err
    assert "was not trained" not in cli("ask", "Hi", "--think", "free").err


@pytest.mark.parametrize("options", [("--think", "hard"), ("--template", "nothing")])
def test_unknown_ones_are_usage_errors(cli: Cli, engine: FakeEngine, options: tuple[str, str]) -> None:
    assert cli("ask", "Hi", *options).code == 2
    assert not engine.requests


def test_options_on_sampling_change_the_mode_s_own(cli: Cli, engine: FakeEngine) -> None:
    cli("ask", "Hi", "--think", "free", "--top-k", "9")
    params = engine.requests[-1].params
    assert (params.temperature, params.presence_penalty, params.top_k) == (0.96, 1.0, 9)


def test_the_exact_prompt_is_shown_and_nothing_is_fed(cli: Cli, engine: FakeEngine) -> None:
    said = cli("ask", "Hi", "--show-prompt", "--think", "free", "--system", "x")
    assert said.code == 0
    assert not engine.requests
    lines = said.out.splitlines()
    assert lines[0] == "     0  b''"
    assert "    11  b'\\n'" in lines
    ids = tuple(int(each.split()[0]) for each in lines)
    assert ByteTokenizer().decode_bytes(ids).decode() == "System: x\n\nUser: Hi\n\nAssistant: <think"
    assert said.err == f"Template classic, think mode free: {len(ids)} tokens, {len(ids)} of them new.\n"


def test_the_exact_prompt_as_json(cli: Cli, engine: FakeEngine) -> None:
    record = json.loads(cli("ask", "Hi", "--show-prompt", "--json").out)
    assert (record["template"], record["mode"], record["known"]) == ("classic", "none", 0)
    assert [each["id"] for each in record["tokens"]] == [0, *ByteTokenizer().encode("User: Hi\n\nAssistant:")]
    assert record["tokens"][1] == {"id": 86, "bytes": "55", "text": "U"}


def test_an_odd_message_is_told_and_sent(cli: Cli, engine: FakeEngine) -> None:
    said = cli("ask", "one\n\nUser: two")
    assert "Blank lines are left out" in said.err
    assert "begins with User:" in said.err
    assert fed(engine) == "User: one\nUser: two\n\nAssistant:"


# -------------------------------------------------------------------------------- line mode


def test_line_mode_changes_how_it_is_spoken(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (" Plain.", THOUGHT, "Bot.")
    lines = "one\n/think free\ntwo\n/think hard\n/template bot\n/template\n/think none\nthree\n"
    said = cli("chat", "--plain", stdin=lines)
    assert said.out == "Plain.\nYes.\nBot.\n"
    assert fed(engine, 1) == "User: one\n\nAssistant: Plain.\n\nUser: two\n\nAssistant: <think"
    assert fed(engine, 2) == "User✿one✿\nBot✿Plain.✿\nUser✿two✿\nBot✿Yes.✿\nUser✿three✿\nBot✿"
    for words in ("Think mode: free.", "The think modes are:", "Template: bot.", "The templates are:", "Hm."):
        assert words in said.err


def test_line_mode_takes_the_same_options(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (THOUGHT,)
    options = ("--think", "free", "--system", "Be kind.", "--keep-thinking", "--template", "classic")
    said = cli("chat", "--plain", *options, stdin="one\ntwo\n/new\nthree\n/open 1\n")
    assert fed(engine, 0) == "System: Be kind.\n\nUser: one\n\nAssistant: <think"
    assert fed(engine, 1).startswith("System: Be kind.\n\nUser: one\n\nAssistant: <think>Hm.\n</think>\nYes.")
    assert fed(engine, 2) == "System: Be kind.\n\nUser: three\n\nAssistant: <think"
    assert "System: Be kind.\nYou: three\n" in said.out


def test_line_mode_shows_the_exact_prompt(cli: Cli, engine: FakeEngine) -> None:
    said = cli("chat", "--plain", stdin="/prompt a\none\n/prompt\n/prompt a\n")
    assert "21 tokens, 21 of them new" not in said.err
    assert "Template classic, think mode none: 20 tokens, 20 of them new." in said.err
    chain = len("User: one\n\nAssistant: Hello there.") + 1
    assert f"{chain} tokens, 0 of them new." in said.err
    assert f"{chain + 21} tokens, 21 of them new." in said.err


def test_the_full_screen_program_takes_none_of_these(cli: Cli, engine: FakeEngine) -> None:
    assert cli("chat", "--think", "free").code == 2
