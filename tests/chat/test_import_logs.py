"""`rwkv-chat convs import` of other programs' logs: who is who, what is kept, and importing again."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rwkv_chat.explain import FAILURE, OK, USAGE
from rwkv_chat.importers.arrange import Cast, tree
from rwkv_chat.importers.forms import PART_TURNS, Conversation, Turn
from rwkv_chat.library import index, logs, threads, trees
from rwkv_chat.library.database import connect
from rwkv_chat.paths import Paths
from rwkv_chat.texts import say
from tests.chat.logs import LOGS, one, read
from tests.chat.talk import answered, begin
from tests.fakes import ByteTokenizer, FakeEngine

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from rwkv_chat.session import Session
    from tests.chat.command_line import Cli


def imported(cli: Cli, *arguments: str) -> list[dict[str, Any]]:
    said = cli("convs", "import", *arguments, "--json")
    assert said.code == OK, said.err
    return json.loads(said.out)


def shown(cli: Cli, id_: str) -> list[tuple[str, str]]:
    told = json.loads(cli("convs", "show", id_, "--json").out)
    return [(each["role"], each["text"]) for each in told["messages"]]


def test_an_assistants_log_comes_with_its_branches(cli: Cli, engine: FakeEngine, home: Path) -> None:
    done = imported(cli, str(LOGS / "chatgpt.json"))
    assert [(each["title"], each["new"]) for each in done] == [
        *(("Sums", True), ("Write a poem", True), ("Circle", True)),
    ]
    assert shown(cli, done[0]["id"])[-1] == ("assistant", "Let me compute.\n\nThe answer is 4.")
    with closing(connect(Paths.under(home).database)) as db:
        texts = {each.message.text for each in trees.tree(db, done[0]["id"]).nodes}
        assert "An abandoned answer" in texts
        assert threads.get(db, done[0]["id"]).created == 1700000000.0
        assert index.is_sound(db)
    again = imported(cli, str(LOGS / "chatgpt.json"))
    assert [(each["id"], each["new"], each["added"]) for each in again] == [
        (each["id"], False, 0) for each in done
    ]


async def test_what_was_taken_in_is_read_and_continued(opened: list[Session], tmp_path: Path) -> None:
    engine = FakeEngine([" Six."])
    session = await begin(opened, tmp_path, engine)
    sums, *_ = await session.convs.import_(LOGS / "chatgpt.json")
    end = await answered(session.chats.send(sums.thread.id, "And 3+3?"))
    assert end.node is not None
    assert end.node.message.text == "Six."
    read_there = (
        ByteTokenizer().decode_bytes((*engine.requests[-1].history, *engine.requests[-1].prompt)).decode()
    )
    assert "The answer is 4.\n\nUser: And 3+3?" in read_there
    assert [each.message.text for each in (await session.chats.open(sums.thread.id)).nodes][-1] == "Six."


def test_the_guess_and_the_report_are_told(cli: Cli, engine: FakeEngine) -> None:
    told = cli("convs", "import", str(LOGS / "chatgpt.json")).err
    assert "ChatGPT" in told
    assert "What is 2+2?" in told  # of the first turns
    counted = "3 conversations, 8 turns, 8 skipped because"
    assert counted in told
    assert say("logs.skipped.tool") in told


def test_a_messengers_chat_needs_to_know_who_is_who(cli: Cli, engine: FakeEngine) -> None:
    file = str(LOGS / "whatsapp_ios.txt")
    for wrong in ((), ("--me", "Nobody")):
        said = cli("convs", "import", file, *wrong)
        assert (said.code, "Anna, Ben Q" in said.err) == (USAGE, True)
    assert json.loads(cli("convs", "list", "--json").out) == []
    (mine,) = imported(cli, file, "--me", "anna")
    assert shown(cli, mine["id"]) == [
        ("user", "Happy new year!\nsecond line\n\nfourth: line"),
        ("assistant", "[image: 00000012-PHOTO-2024-12-31.jpg]\n[image]\nFixed"),  # in one go
        ("user", "[call]\n[poll: Where?]"),
    ]
    (other,) = imported(cli, file, "--assistant", "Anna")
    assert (other["id"] != mine["id"], shown(cli, other["id"])[0][0]) == (True, "assistant")


def test_a_log_that_says_whose_it_is_needs_no_name(cli: Cli, engine: FakeEngine) -> None:
    bob, group, saved = imported(cli, str(LOGS / "telegram.json"))
    assert shown(cli, bob["id"]) == [
        ("user", "Look at https://example.org please"),
        ("assistant", "[sticker: 👍]\nSeen\n[image: p.jpg]"),
    ]
    assert (shown(cli, group["id"])[0][0], shown(cli, saved["id"])[0][0]) == ("assistant", "user")


def test_the_format_may_be_named_and_what_is_none_is_refused(
    cli: Cli, engine: FakeEngine, tmp_path: Path
) -> None:
    odd = tmp_path / "notes.txt"
    odd.write_text("Dear diary,\n\nQ: none\n")
    said = cli("convs", "import", str(odd))
    assert (said.code, say("errors.ConversationsInvalid.hint.unknown") in said.err) == (FAILURE, True)
    assert len(imported(cli, str(odd), "--format", "transcript")) == 1
    page = tmp_path / "messages.html"
    page.write_text('<!DOCTYPE html>\n<html><title>Exported Data</title><div class="message default">')
    assert "machine-readable JSON" in cli("convs", "import", str(page)).err
    assert cli("convs", "import", str(odd), "--format", "nope").code == USAGE


def test_a_group_says_who_speaks() -> None:
    turns = tuple(
        Turn(str(at), who, "other", text, parent=str(at - 1) if at else None)
        for at, (who, text) in enumerate([("A", "one"), ("B", "two"), ("C", "three"), ("A", "four")])
    )
    found = tree(Conversation("whatsapp", "x", "", turns), Cast(me="A"))
    assert [(each.message.role, each.message.text) for each in found.nodes] == [
        *(("user", "one"), ("assistant", "B: two\nC: three"), ("user", "four")),
    ]
    assert found.thread.tip == "3"


def test_years_of_messages_come_in_parts(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    rows = (f"2024-01-05, 10:{at // 60 % 60:02}:{at % 60:02} - Name {at % 2}: {at}" for at in range(12_000))
    file.write_text("\n".join(rows))
    found, report = read(file)
    assert [len(each.turns) for each in found] == [PART_TURNS, PART_TURNS, 2_000]
    assert (report.conversations, report.turns, {each.id for each in found}) == (1, 12_000, {found[0].id})
    assert [tree(each, Cast(me="Name 0")).thread.title for each in found] == ["long", "long (2)", "long (3)"]
    assert len({tree(each, Cast(me="Name 0")).thread.id for each in found}) == 3


# ------------------------------------------------------------------------------------------------ again


def take(db: sqlite3.Connection, *turns: Turn, tip: str = "") -> tuple[str, bool, int]:
    found = Conversation("x", "same", "T", turns, tip=tip or turns[-1].id)
    thread, new, added = logs.take(db, tree(found, Cast()))
    return thread.id, new, added


def turn(id_: str, parent: str | None = None, text: str = "") -> Turn:
    return Turn(id_, "", "assistant" if parent in ("a", "c") else "user", text or id_, parent=parent)


def path(db: sqlite3.Connection, thread: str) -> list[str]:
    return [each.message.text for each in trees.tree(db, thread).path]


def test_a_later_export_adds_what_is_new(db: sqlite3.Connection) -> None:
    first = [turn("a"), turn("b", "a")]
    thread, new, _ = take(db, *first)
    assert (new, take(db, *first)) == (True, (thread, False, 0))
    later = [*first, turn("c", "b"), turn("d", "c"), turn("other", "a")]
    assert take(db, *later, tip="d") == (thread, False, 3)
    assert path(db, thread) == ["a", "b", "c", "d"]
    assert len(trees.tree(db, thread).nodes) == 5
    assert index.is_sound(db)


def test_what_the_person_did_meanwhile_stays(db: sqlite3.Connection) -> None:
    thread, *_ = take(db, turn("a"), turn("b", "a"))
    mine = trees.tree(db, thread).nodes[-1].id
    db.execute(
        "UPDATE threads SET tip = (SELECT parent FROM nodes WHERE id = ?) WHERE id = ?", (mine, thread)
    )
    db.execute("UPDATE nodes SET deleted = 1 WHERE id = ?", (mine,))
    assert take(db, turn("a"), turn("b", "a"), turn("c", "b")) == (thread, False, 0)  # deleted stays deleted
    assert path(db, thread) == ["a"]
    assert take(db, turn("a"), turn("e", "a"))[2] == 1
    assert path(db, thread) == ["a", "e"]  # it stood at the end of what was there
    db.execute("UPDATE threads SET deleted = 1 WHERE id = ?", (thread,))
    assert take(db, turn("a"))[1]  # thrown away, then wanted again


def test_a_log_and_its_zip_are_the_same() -> None:
    assert one("whatsapp.zip").id == one("whatsapp_ios.txt").id
