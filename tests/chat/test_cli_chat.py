"""Line mode over a fake engine and a real library."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.errors import OutOfMemory, StoreFull
from engine.types import Prefilled
from rwkv_chat.cli.slash import SLASH_COMMANDS, UnknownCommand, parse
from rwkv_chat.library.database import connect
from rwkv_chat.paths import Paths
from rwkv_chat.texts import lookup
from tests.fakes import FakeReply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chat.command_line import Cli
    from tests.fakes import FakeEngine


def test_one_line_is_one_message_and_replies_go_to_stdout(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (" First.", " Second.")
    said = cli("chat", "--plain", stdin="one\n\ntwo\n")
    assert (said.code, said.out, said.err) == (0, "First.\nSecond.\n", "")
    assert engine.requests[1].history[: len(engine.requests[0].prompt)] == engine.requests[0].prompt


def test_a_conversation_is_kept_and_goes_on_after_a_restart(cli: Cli, engine: FakeEngine) -> None:
    cli("chat", "--plain", stdin="My name is Ada.\n")
    said = cli("chat", "--plain", stdin="/list\n/open 1\nWho am I?\n")
    assert said.out == "  1  My name is Ada.\nYou: My name is Ada.\nModel: Hello there.\nHello there.\n"
    assert len(engine.requests[1].history) > 0


def test_a_reply_goes_on_after_a_crash_and_its_limit_is_told_as_a_whole(
    cli: Cli, engine: FakeEngine, home: Path
) -> None:
    engine.replies = (FakeReply(" One", error=OutOfMemory(2, 1)), FakeReply(" two", reason="length"))
    cli("chat", "--plain", stdin="a\n")
    with closing(connect(Paths.under(home).database)) as db:
        db.execute("UPDATE nodes SET status = 'growing' WHERE status = 'failed'")
    said = cli("chat", "--plain", stdin="/open 1\n")
    assert said.out.endswith("One two\n")
    assert "It is sampled as it was.\n" in said.err
    assert "cut at 8 tokens" in said.err


def test_the_commands_of_the_table(cli: Cli, engine: FakeEngine) -> None:
    lines = "/help|Hi|/rename Greetings|/delete|/list|/undo|/list|/new|/regen|/open 1|/regen|/quit|never"
    said = cli("chat", "--plain", stdin=lines.replace("|", "\n"))
    assert said.code == 0
    assert said.out.count("Greetings") == 1
    assert said.out.count("Hello there.") == 3  # the reply, /open, /regen
    assert "/undo" in said.err
    assert "no open conversation" in said.err
    assert len(engine.requests) == 2


def test_every_command_has_a_method_and_texts() -> None:
    from rwkv_chat.cli.line_mode import LineMode

    for row in SLASH_COMMANDS:
        assert callable(getattr(LineMode, f"do_{row.name}"))
        assert (lookup(f"cli.slash.{row.name}.usage") or "").startswith(f"/{row.name}")
        assert lookup(f"cli.slash.{row.name}.help")


def test_lines_are_parsed() -> None:
    assert parse("hello /help") == (None, "hello /help")
    assert parse("//etc is a folder") == (None, "/etc is a folder")
    row, rest = parse("/open  3 ")
    assert row is not None
    assert (row.name, rest) == ("open", "3")
    for wrong in ("/", "/nope", "/helpme", "/new now"):
        with pytest.raises(UnknownCommand):
            parse(wrong)


@pytest.mark.parametrize(
    "line", ["/nope", "/open", "/open 0", "/open x", "/open ²", "/open 99999999999", "/undo", "/delete"]
)
def test_a_wrong_command_says_so_and_goes_on(cli: Cli, engine: FakeEngine, line: str) -> None:
    said = cli("chat", "--plain", stdin=f"{line}\nHi\n")
    assert (said.code, said.out) == (0, "Hello there.\n")
    assert said.err.count("\n") == 1


def test_a_failed_reply_says_so_and_the_next_line_is_answered(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (FakeReply(" Ha", error=OutOfMemory(2, 1)), " Better.")
    said = cli("chat", "--plain", stdin="one\ntwo\n")
    assert (said.code, said.out) == (0, "Ha\nBetter.\n")
    assert "memory" in said.err


def test_a_conversation_that_is_read_again_says_so(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (FakeReply(" Ok.", prefill=(Prefilled(0, 50, True), Prefilled(50, 50, True))),)
    assert cli("chat", "--plain", stdin="Hi\n").err.count("again (50 tokens)") == 1


def test_a_state_that_could_not_be_saved_is_told_once(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (FakeReply(" Ok.", refused=StoreFull(3_000_000, 2_000_000, 2_000_000)),)
    said = cli("chat", "--plain", stdin="one\ntwo\n")
    assert (said.code, said.out) == (0, "Ok.\nOk.\n")
    assert said.err.count("could not be saved") == 1
    assert "snapshot_budget_gb" in said.err


def test_sampling_options_hold_for_every_message(cli: Cli, engine: FakeEngine) -> None:
    cli("chat", "--plain", "--temperature", "0", stdin="one\ntwo\n")
    assert [each.params.temperature for each in engine.requests] == [0.0, 0.0]


def test_sampling_options_need_line_mode(cli: Cli, engine: FakeEngine) -> None:
    assert cli("chat", "--temperature", "0").code == 2


def test_a_bug_is_not_hidden(
    cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    from rwkv_chat.cli.line_mode import LineMode

    secret = "what the person" + " typed"

    def broken(self: LineMode) -> None:
        raise ZeroDivisionError(secret)

    monkeypatch.setattr(LineMode, "do_list", broken)
    said = cli("chat", "--plain", stdin="/list\nHi\n")
    assert said.code == 1
    assert "Traceback" not in said.err
    assert "typed" not in said.err
    log = home / "data" / "logs" / "rwkv-chat.log"
    assert str(log) in said.err
    assert "ZeroDivisionError" in log.read_text()
    assert "typed" not in log.read_text()
    assert "Traceback" in cli("--debug", "chat", "--plain", stdin="/list\n").err
