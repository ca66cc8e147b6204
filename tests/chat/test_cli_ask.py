"""`rwkv-chat ask` over a fake engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from engine.errors import ModelNotFound, OutOfMemory, StoreFull, TunedStateMismatch
from rwkv_chat.cli.interrupts import on_interrupt
from rwkv_chat.cli.options import SAMPLING
from tests.fakes import ByteTokenizer, FakeReply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.chat.command_line import Cli
    from tests.fakes import FakeEngine


def fed(engine: FakeEngine) -> str:
    """The last prompt as text."""
    return ByteTokenizer().decode_bytes(engine.requests[-1].prompt).decode()


def test_the_answer_goes_to_stdout_and_nothing_else(cli: Cli, engine: FakeEngine) -> None:
    said = cli("ask", "Who", "are", "you?")
    assert (said.code, said.out, said.err) == (0, "Hello there.\n", "")
    assert "User: Who are you?\n\nAssistant:" in fed(engine)


def test_at_once_or_as_it_grows_the_answer_is_the_same(cli: Cli, engine: FakeEngine) -> None:
    assert cli("ask", "Hi", "--no-stream").out == cli("ask", "Hi", "--stream").out


def test_piped_text_goes_before_the_question(cli: Cli, engine: FakeEngine) -> None:
    cli("ask", "What is this?", stdin="A poem.\n")
    assert fed(engine).index("A poem.") < fed(engine).index("What is this?")


def test_piped_text_alone_is_the_question(cli: Cli, engine: FakeEngine) -> None:
    assert cli("ask", stdin="Hi\n").out == "Hello there.\n"
    assert "User: Hi\n" in fed(engine)


def test_bytes_that_are_no_utf8_are_read_all_the_same(cli: Cli, engine: FakeEngine) -> None:
    assert cli("ask", stdin=b"caf\xe9").code == 0
    assert "caf\ufffd" in fed(engine)


def test_no_question_is_a_usage_error(cli: Cli, engine: FakeEngine) -> None:
    said = cli("ask")
    assert said.code == 2
    assert said.out == ""
    assert "question" in said.err
    assert not engine.loads


def test_json_is_one_object_with_the_same_answer(cli: Cli, engine: FakeEngine) -> None:
    said = cli("ask", "Hi", "--json", "--seed", "7")
    record = json.loads(said.out)
    assert record["answer"] == "Hello there."
    assert (record["reason"], record["seed"], record["model"]) == ("stop", 7, "Fake guide")
    assert record["answer_tokens"] == len(" Hello there.")
    assert said.out.count("\n") == 1


def test_nothing_is_kept_unless_asked(cli: Cli, engine: FakeEngine, home: Path) -> None:
    cli("ask", "Hi")
    assert not list(home.rglob("library.sqlite"))
    kept = json.loads(cli("ask", "Hi", "--save", "--json").out)
    assert kept["conversation"]
    assert list(home.rglob("library.sqlite"))


def test_every_sampling_parameter_is_an_option_and_reaches_the_engine(cli: Cli, engine: FakeEngine) -> None:
    wanted = {each.name: _other_value(each.metadata) for each in SAMPLING}
    options = [word for name, value in wanted.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    said = cli("ask", "Hi", *options)
    assert said.code == 0, said.err
    params = engine.requests[-1].params
    assert {name: getattr(params, name) for name in wanted} == wanted


def _other_value(limits: Mapping[str, float]) -> float:
    return limits["min"] + limits["step"]


@pytest.mark.parametrize(
    "options", [["--top-p", "1.5"], ["--temperature", "nan"], ["--top-k", "0.5"], ["--seed", "-1"]]
)
def test_a_value_out_of_range_is_a_usage_error(cli: Cli, engine: FakeEngine, options: list[str]) -> None:
    said = cli("ask", "Hi", *options)
    assert said.code == 2
    assert said.out == ""
    assert not engine.requests


def test_a_cut_answer_says_so_on_stderr(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (FakeReply(" One two", reason="length"),)
    said = cli("ask", "Count")
    assert said.out == "One two\n"
    assert "--max-tokens" in said.err


@pytest.mark.parametrize(
    ("error", "code"), [(ModelNotFound("/x.pth"), 3), (OutOfMemory(3 * 10**9, 10**9), 4)]
)
def test_a_model_that_will_not_load_is_one_sentence(
    cli: Cli, engine: FakeEngine, error: Exception, code: int
) -> None:
    engine.load_error = error  # pyright: ignore[reportAttributeAccessIssue]
    said = cli("ask", "Hi")
    assert (said.code, said.out) == (code, "")
    assert "Traceback" not in said.err
    assert said.err.startswith("rwkv-chat: ")
    assert said.err.count("\n") == 1


def test_a_reply_that_breaks_off_shows_what_there_was(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (FakeReply(" Half an ans", error=OutOfMemory(2, 1)),)
    said = cli("ask", "Hi")
    assert (said.code, said.out) == (4, "Half an ans\n")


def test_ctrl_c_keeps_what_was_said_and_exits_130(cli: Cli, engine: FakeEngine) -> None:
    seen = []

    def press_ctrl_c_once(text: str) -> None:
        seen.append(text)
        if len(seen) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    engine.replies = (" one two three" + " four" * 500,)
    engine.delay = 0.005
    before = signal.getsignal(signal.SIGINT)
    with _listening(press_ctrl_c_once):
        said = cli("ask", "Count")
    assert said.code == 130
    assert said.out.startswith("one two thr")
    assert len(said.out) < 200
    assert "Traceback" not in said.err
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_signal_insists() -> None:
    told: list[str] = []

    async def work() -> None:
        asked = asyncio.Event()
        with on_interrupt(asked.set) as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(asked.wait(), 60)
            assert interrupt.code == 130
            os.kill(os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(600)
            finally:
                told.append("cleaned up")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())
    assert told == ["cleaned up"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_who_leaves_stops_the_answer_in_silence(cli: Cli, engine: FakeEngine) -> None:
    def leave(text: str) -> None:
        raise BrokenPipeError

    engine.replies = (" word" * 1000,)
    engine.delay = 0.001
    with _listening(leave):
        said = cli("ask", "Count")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert engine.jobs[-1].cancelled.is_set()
    assert engine.closed


def _listening(call):
    from contextlib import contextmanager

    from rwkv_chat.cli import ask

    @contextmanager
    def patched():
        write = ask.result

        def listen(text: str, *, end: str = "\n") -> None:
            call(text)
            write(text, end=end)

        ask.result = listen
        try:
            yield
        finally:
            ask.result = write

    return patched()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--temperature", "9", "9.0 is not in the range 0 to 5"),
        ("--top-p", "x", "'x' is not a valid number"),
        ("--seed", "1.5", "'1.5' is not a valid whole number"),
    ],
)
def test_wrong_numbers_are_told_in_plain_words(
    cli: Cli, engine: FakeEngine, option: str, value: str, words: str
) -> None:
    said = cli("ask", "hi", option, value)
    assert said.code == 2
    assert words in said.err
    assert "<=" not in cli("ask", "--help").out


def test_the_form_of_the_weights_can_be_chosen_for_once(cli: Cli, engine: FakeEngine) -> None:
    assert cli("ask", "Hi", "--dtype", "int8").code == 0
    assert cli("ask", "Hi").code == 0
    assert [each.dtype for each in engine.loads] == ["int8", "auto"]
    assert cli("ask", "Hi", "--dtype", "int7").code == 2


# ---------------------------------------------------------------------------------------------- tuned states


def test_an_answer_begins_from_a_tuned_state(cli: Cli, engine: FakeEngine) -> None:
    assert cli("ask", "Hi", "--state", "polite.pth").code == 0
    assert [each.path for each in engine.initials] == ["polite.pth"]
    assert engine.requests[-1].initial == "id of polite.pth"


def test_without_one_it_begins_from_nothing(cli: Cli, engine: FakeEngine) -> None:
    cli("ask", "Hi")
    assert engine.initials == []
    assert engine.requests[-1].initial == ""


def test_a_tuned_state_of_another_model_is_told_with_both_sizes(cli: Cli, engine: FakeEngine) -> None:
    engine.register_error = TunedStateMismatch("2 layers of [4, 64, 64]", "3 layers of [8, 64, 64]", "s.pth")
    said = cli("ask", "Hi", "--state", "s.pth")
    assert (said.code, said.out) == (1, "")
    assert "3 layers of [8, 64, 64]" in said.err
    assert "2 layers of [4, 64, 64]" in said.err


def test_a_state_that_could_not_be_saved_is_told(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (FakeReply(" Ok.", refused=StoreFull(3_000_000, 2_000_000, 2_000_000)),)
    said = cli("ask", "Hi", "--save")
    assert (said.code, said.out) == (0, "Ok.\n")
    assert "could not be saved" in said.err
    assert "snapshot_budget_gb" in said.err
