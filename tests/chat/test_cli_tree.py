"""Line mode's commands on the tree of a conversation, and on texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes import FakeReply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chat.command_line import Cli
    from tests.fakes import FakeEngine


def lines(*typed: str) -> str:
    return "".join(f"{each}\n" for each in typed)


@pytest.fixture(autouse=True)
def numbered(engine: FakeEngine) -> None:
    engine.replies = tuple(f" Reply {number}." for number in range(1, 10))


def test_a_turn_is_taken_back_and_done_again(cli: Cli, engine: FakeEngine) -> None:
    said = cli(
        "chat", "--plain", stdin=lines("one", "two", "/undo", "/messages", "/redo", "/messages", "/redo")
    )
    assert "Taken back: two" in said.err
    assert said.out.count("You: two") == 1
    assert said.out.count("You: one") == 2
    assert "Done again." in said.err
    assert "Nothing was taken back here" in said.err


def test_other_branches(cli: Cli, engine: FakeEngine) -> None:
    typed = (
        "one",
        "two",
        "/edit 3 zwei",
        "/messages",
        "/switch 3",
        "/messages",
        "/go 2",
        "three",
        "/messages",
    )
    said = cli("chat", "--plain", stdin=lines(*typed))
    assert "You: zwei  (2 of 2)" in said.out
    assert "Alternative 1 of 2." in said.err
    assert "You: two  (1 of 2)" in said.out
    assert "You: three  (3 of 3)" in said.out
    assert [each.text for each in _asked(engine)] == ["one", "two", "zwei", "three"]


def test_what_follows_is_kept_and_read_again(cli: Cli, engine: FakeEngine) -> None:
    said = cli("chat", "--plain", stdin=lines("one", "two", "/replace 1 uno", "/messages"))
    assert "1  You: uno  (2 of 2)" in said.out
    assert "4  Model: Reply 2." in said.out
    assert "Read: " in said.err
    assert len(engine.requests) == 2
    assert len(engine.feeds) == 1


def test_an_edited_reply(cli: Cli, engine: FakeEngine) -> None:
    said = cli("chat", "--plain", stdin=lines("one", "/edit 2 Mine.", "two", "/edit 9 x", "/edit 1"))
    assert b"Mine." in _bytes(engine.requests[1].history)
    assert "no message 9" in said.err
    assert "The message is empty." in said.err


def test_branch_prune_and_undo(cli: Cli, engine: FakeEngine) -> None:
    typed = ("one", "two", "/branch 2", "/list", "/open 2", "/prune 1", "/messages", "/undo", "/messages")
    said = cli("chat", "--plain", stdin=lines(*typed))
    assert "A conversation of its own begins here: one" in said.err
    assert "Deleted: 2 messages." in said.err
    assert "2 messages stay" in said.err
    assert said.out.count("3  You: two") == 1


def test_several_replies_and_one_is_chosen(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (" One.", FakeReply(" A", others=(" B", " C")), " On.")
    typed = ("Hi", "/alt", "/choose 4", "/choose 9", "/messages", "go on", "/alt 1", "/alt x")
    said = cli("chat", "--plain", stdin=lines(*typed))
    assert said.out.splitlines()[1:4] == ["[1] A", "[2] B", "[3] C"]
    assert engine.requests[1].n == 3
    assert "reply 4." in said.err
    assert "no reply 9; there are 4" in said.err
    assert "Model: C  (4 of 4)" in said.out
    assert b" C" in _bytes(engine.requests[2].history)
    assert said.err.count("How many replies?") == 2


def test_an_aside_is_not_kept(cli: Cli, engine: FakeEngine) -> None:
    said = cli("chat", "--plain", stdin=lines("one", "/aside what?", "two", "/messages", "/aside"))
    assert "Reply 2." in said.out
    assert "what?" not in said.out
    assert engine.requests[1].fork is not None
    assert b"what?" not in _bytes(engine.requests[2].history)


def test_a_reply_begins_and_goes_on(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (FakeReply(" One", reason="length"), " more.", " thing.")
    said = cli("chat", "--plain", stdin=lines("Hi", "/continue", "/begin Some", "/messages"))
    assert said.out.splitlines()[:3] == ["One", "One more.", "Some thing."]
    assert "Model: Some thing.  (2 of 2)" in said.out
    assert engine.requests[1].continues == len(" One")


def test_bookmarks_pins_and_memory(cli: Cli, engine: FakeEngine) -> None:
    typed = (
        *("one", "two", "three", "/bookmark 2 here", "/pin 1", "/messages", "/bookmark", "/refresh 1"),
        *("/messages", "/memory", "/bookmark 2", "/bookmark", "/last 5", "/memory", "/last", "/pin 1"),
    )
    said = cli("chat", "--plain", stdin=lines(*typed))
    assert "[bookmark here]" in said.out
    assert "here             Model: Reply 1." in said.out
    assert "You: one  [pinned] [memory begins here]" in said.out
    assert said.out.count("Partial memory: ") == 2
    assert "No bookmark on message 2 any more." in said.err
    assert "tokens absorbed; over how many" in said.out
    assert "From how many" in said.err


def test_a_text_is_written_line_by_line(cli: Cli, engine: FakeEngine) -> None:
    engine.replies = (" upon", " a time")
    said = cli("chat", "--plain", stdin=lines("/text", "Once", "more", "/undo", "/messages"))
    assert said.out.splitlines()[:2] == [" upon", " a time"]
    assert _bytes(engine.requests[1].history) == b"Once upon"
    assert _bytes(engine.requests[1].prompt) == b"\nmore"
    assert "2  Model: upon" in said.out


def test_a_file_is_read_quoted_and_asked_about(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    file = tmp_path / "fox.txt"
    file.write_text("The fox is red.\n\n" + "It runs. " * 400 + "\n\nThe owl is grey.")
    typed = (f"/read {file}", "/quote owl", "Who is grey?", "/books", "/quote whale", "/read 2", "/read 1")
    said = cli("chat", "--plain", stdin=lines(*typed))
    assert "Reading fox (passages: 2)" in said.err
    assert "A conversation begins that has read it: fox" in said.err
    assert "fox: " in said.out
    assert "These passages go with your next message." in said.err
    assert b'From "fox": ' in _bytes(engine.requests[0].prompt)
    assert _bytes(engine.requests[0].history) == file.read_text().encode()
    assert "tokens, read" in said.out
    assert "Nothing of what was read has that." in said.err
    assert "no text 2" in said.err


@pytest.mark.parametrize("content", [b"", b"\0\1\2binary", b"\xff\xfe\xff"])
def test_a_file_that_is_no_text_says_so(cli: Cli, engine: FakeEngine, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    said = cli("chat", "--plain", stdin=lines(f"/read {tmp_path / 'x'}", "/books", f"/read {tmp_path}"))
    assert said.code == 0
    assert said.err.count("cannot be read as a text") == 2
    assert "No text was read yet" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "line", ["/go 1", "/regen", "/redo", "/memory", "/alt 2", "/pin 1", "/quote x", "/continue"]
)
def test_commands_without_a_conversation_say_so(cli: Cli, engine: FakeEngine, line: str) -> None:
    said = cli("chat", "--plain", stdin=lines(line, "Hi"))
    assert (said.code, said.out) == (0, "Reply 1.\n")
    assert said.err.count("\n") == 1


def _bytes(tokens: tuple[int, ...]) -> bytes:
    return bytes(each - 1 for each in tokens if each)


def _asked(engine: FakeEngine) -> list:
    from types import SimpleNamespace

    told = (_bytes(each.prompt).decode().strip() for each in engine.requests)
    return [SimpleNamespace(text=each.removeprefix("User: ").removesuffix("\n\nAssistant:")) for each in told]


def test_a_file_goes_with_the_next_message(
    cli: Cli, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("three apples\n", encoding="utf-8")
    typed = ("/attach notes.txt", "/attach /no/such/file", "How many?", "And now?")
    said = cli("chat", "--plain", stdin=lines(*typed))
    first, second = (each.text for each in _asked(engine))
    assert "three apples" in first
    assert first.endswith("How many?")
    assert "apples" not in second
    assert "the text of notes.txt" in said.err
    assert "/no/such/file is not there any more" in said.err


def test_a_conversation_begins_from_a_persona(cli: Cli, engine: FakeEngine) -> None:
    cli("chat", "--plain", stdin=lines("You are a pirate."))
    assert cli("states", "save", "You are", "Pirate").code == 0
    said = cli("chat", "--plain", stdin=lines("/persona", "/persona pir", "Who are you?", "/persona none"))
    assert "Pirate" in said.out
    assert "A conversation begins from Pirate." in said.err
    assert "none" in said.err
