"""`rwkv-chat convs`: list, show, search, export in every format, import of what was exported and of what is
hostile, rm. On a fake engine, through the command line.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from rwkv_chat.cli.convs import CONVS
from rwkv_chat.explain import FAILURE, NOT_FOUND, OK, USAGE
from rwkv_chat.exporters import EXPORTERS, json_tree
from rwkv_chat.importers.json_tree import Refused, parse
from rwkv_chat.library import backup, index, nodes, threads, trees
from rwkv_chat.library.database import connect
from rwkv_chat.paths import Paths
from rwkv_chat.texts import say
from tests.chat.books import reply, texts
from tests.chat.books import say as speak
from tests.fakes import FakeEngine, fake_session

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from tests.chat.command_line import Cli

SECRET = "<script>alert('x')</script>"  # noqa: S105  hostile, not secret


@pytest.fixture
def library(home: Path) -> Paths:
    """One conversation with two branches and thoughts, and one with a single message."""
    paths = Paths.under(home).make()
    with closing(connect(paths.database)) as db:
        branched(db)
        speak(db, "第二个 conversation")
    return paths


def branched(db: sqlite3.Connection) -> str:
    thread, asked = speak(db, "What is a state?")
    done: dict[str, Any] = {
        "status": "complete",
        "tokens": (1, 2),
        "prefix": "a" * 64,
        "model": "abc",
        "seed": 5,
    }
    nodes.save_reply(db, thread, reply(asked, "Old.", id="old", **done))
    nodes.save_reply(
        db, thread, reply(asked, f"A memory {SECRET}.", id="new", reasoning="Hm\n\nwell", **done)
    )
    speak(db, "And\n\nthen?", thread)
    threads.configure(db, thread, template="bot", mode="free", keep_reasoning=True)
    return thread


def test_every_command_has_a_help(cli: Cli) -> None:
    for name in CONVS:
        said = cli("convs", name, "--help")
        assert said.code == OK
        assert "--json" in said.out
    assert cli("convs", "nope").code == USAGE


def test_list_and_show(cli: Cli, engine: FakeEngine, library: Paths) -> None:
    listed = json.loads(cli("convs", "list", "--json").out)
    assert [each["title"] for each in listed] == ["第二个 conversation", "What is a state?"]
    assert cli("convs", "list", "--limit", "1").out.count("\n") == 1
    assert cli("convs", "list", "--deleted").out == ""
    for name in ("What is a state?", "what is", listed[1]["id"], listed[1]["id"][:8]):
        told = json.loads(cli("convs", "show", name, "--json").out)
        assert [each["role"] for each in told["messages"]] == ["user", "assistant", "user"]
    assert "Hm" not in cli("convs", "show", "what").out
    assert "Hm" in cli("convs", "show", "what", "--thoughts").out
    assert cli("convs", "show", "nobody").code == NOT_FOUND
    assert cli("convs", "show", "").code == NOT_FOUND


def test_a_name_that_fits_two(cli: Cli, engine: FakeEngine, library: Paths) -> None:
    with closing(connect(library.database)) as db:
        speak(db, "What else?")
    said = cli("convs", "show", "what")
    assert (said.code, "What else?" in said.err) == (USAGE, True)


def test_search(cli: Cli, engine: FakeEngine, library: Paths) -> None:
    told = json.loads(cli("convs", "search", "个", "--json").out)
    (hit,) = told["hits"]
    assert (told["number"], told["more"], hit["title"]) == (1, False, "第二个 conversation")
    assert hit["snippet"] == [
        {"text": "第二", "match": False},
        {"text": "个", "match": True},
        {"text": " conversation", "match": False},
    ]
    assert "Old." in cli("convs", "search", "old", "--role", "assistant", "--model", "ab").out
    assert json.loads(cli("convs", "search", "old", "--role", "user", "--json").out)["number"] == 0
    assert json.loads(cli("convs", "search", "state", "--until", "2020-01-01", "--json").out)["number"] == 0
    assert json.loads(cli("convs", "search", "state", "--since", "2020-01-01", "--json").out)["number"] == 1
    assert json.loads(cli("convs", "search", "state", "--in", "第二个", "--json").out)["number"] == 0
    assert cli("convs", "search", "x", "--since", "soon").code == USAGE


# ------------------------------------------------------------------------------------------------ export


def test_a_folder_that_is_not_there_is_named(cli: Cli, library: Paths) -> None:
    missing = library.database.parent / "nowhere"
    ended = cli("convs", "export", "--all", "--out", str(missing / "x.md"))
    assert ended.code == NOT_FOUND
    assert str(missing) in ended.err
    assert ".part" not in ended.err


def test_every_format(cli: Cli, engine: FakeEngine, library: Paths, tmp_path: Path) -> None:
    for name, row in EXPORTERS.items():
        shown = cli("convs", "export", "--all", "--format", name)
        out = tmp_path / f"all{row.suffix}"
        assert cli("convs", "export", "--all", "--out", str(out)).code == OK
        assert (shown.code, shown.err) == (OK, "")
        assert out.read_text("utf-8") == shown.out
        assert ("A memory" in shown.out, "第二个" in shown.out) == (True, name != "rwkv")
        assert ("Old." in shown.out) == (name == "json")
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == sorted(
        f"all{row.suffix}" for row in EXPORTERS.values()
    )


def test_what_the_formats_say(cli: Cli, engine: FakeEngine, library: Paths) -> None:
    def export(form: str) -> str:
        return cli("convs", "export", "what", "--format", form).out

    assert (
        export("text") == f"User: What is a state?\n\nAssistant: A memory {SECRET}.\n\nUser: And\n\nthen?\n\n"
    )
    assert export("markdown").startswith(
        "# What is a state?\n\n## You\n\nWhat is a state?\n\n## Model\n\n> Hm\n> \n"
    )
    page = export("html")
    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert say("convs.branch", number=2, count=2) in page
    assert not re.search(r"(src|href)=|https?:", page)
    (line,) = export("rwkv").splitlines()
    assert json.loads(line) == {
        "text": f"User✿What is a state?✿\nBot✿<think>Hm\n\nwell</think>\nA memory {SECRET}."
    }


def test_what_export_refuses(cli: Cli, engine: FakeEngine, library: Paths, tmp_path: Path) -> None:
    out = tmp_path / "kept.md"
    out.write_text("mine")
    assert cli("convs", "export", "what", "--out", str(out)).code == USAGE
    assert out.read_text() == "mine"
    assert cli("convs", "export", "what", "--out", str(out), "--overwrite").code == OK
    assert out.read_text("utf-8").startswith("# What")
    for wrong in (["what", "--all"], [], ["what", "--out", "x.odd"], ["what", "--json"]):
        assert cli("convs", "export", *wrong).code == USAGE
    assert cli("convs", "export", "what", "--out", str(tmp_path / "no" / "x.md")).code == NOT_FOUND
    assert cli("convs", "export", "nobody").code == NOT_FOUND


# ------------------------------------------------------------------------------------------------ import


def test_the_whole_tree_comes_back_under_new_ids(
    cli: Cli, engine: FakeEngine, library: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "all.json"
    cli("convs", "export", "--all", "--out", str(file))
    same = json.loads(cli("convs", "import", str(file), "--json").out)
    assert [each["new"] for each in same] == [False, False]
    monkeypatch.setenv("RWKV_CHAT_HOME", str(tmp_path / "other"))
    first = json.loads(cli("convs", "import", str(file), "--json").out)
    again = json.loads(cli("convs", "import", str(file), "--json").out)
    assert [each["new"] for each in (*first, *again)] == [True, True, False, False]
    assert [each["id"] for each in first] == [each["id"] for each in again]
    with (
        closing(connect(library.database)) as old,
        closing(connect(tmp_path / "other/data/library.sqlite")) as new,
    ):
        for was in threads.alive(old):
            now = next(each for each in threads.alive(new) if each.title == was.title)
            assert trees.digest(trees.tree(new, now.id)) == trees.digest(trees.tree(old, was.id))
            assert texts(new, now.id) == texts(old, was.id)
            names = ("updated", "created", "chosen_template", "mode", "keep_reasoning")
            assert [getattr(now, each) for each in names] == [getattr(was, each) for each in names]
            assert now.id != was.id
        assert new.execute("SELECT count(*) FROM node_tokens").fetchone()[0] == 0
        assert new.execute("SELECT count(*) FROM nodes").fetchone()[0] == 5
        assert index.is_sound(new)
    assert json.loads(cli("convs", "search", "old", "--json").out)["number"] == 1
    assert json.loads(cli("convs", "search", "state", "--archived", "--json").out)["number"] == 0


def test_an_imported_conversation_goes_on(tmp_path: Path, library: Paths) -> None:
    async def go_on() -> list[str]:
        session = await fake_session(tmp_path / "there", FakeEngine(["Yes."]))
        file = tmp_path / "one.json"
        with closing(connect(library.database)) as db:
            found = [trees.tree(db, each.id) for each in threads.alive(db)]
        file.write_text("".join(json_tree.write(found)), "utf-8")
        done = await session.convs.import_(file)
        thread = next(each.thread.id for each in done if each.thread.title.startswith("What"))
        await session.chats.configure(thread, mode="none")
        await session.chats.send(thread, "Go on").result()
        shown = [each.message.text for each in (await session.chats.open(thread)).nodes]
        await session.close()
        return shown

    assert asyncio.run(go_on()) == [
        *("What is a state?", f"A memory {SECRET}.", "And\n\nthen?", "Go on", "Yes."),
    ]


def export_of(*messages: dict, **thread: object) -> bytes:
    usual = {"id": "t", "title": "T", "tip": None, "messages": list(messages), **thread}
    return json.dumps({"format": json_tree.FORMAT, "version": 1, "conversations": [usual]}).encode()


def message(id_: str, parent: object = None, **more: object) -> dict:
    return {"id": id_, "parent": parent, "role": "user", "text": "x", **more}


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        *((b"", "not-json"), (b"\xff\xfe", "not-json"), (b"[" * 200_000, "not-json"), (b"{}", "not-ours")),
        *((b"[]", "not-ours"), (b'{"format": "rwkv-chat conversations", "version": 2}', "newer")),
        *(
            (export_of(message("a", "b"), message("b", "a")), "cycle"),
            (export_of(message("a", "a")), "cycle"),
        ),
        *((export_of(message("a", "z")), "parent"), (export_of(message("a"), message("a")), "twice")),
        *((export_of(message("a"), tip="z"), "parent"), (export_of(message("a", role="root")), "role")),
        *((export_of(message("a", role=["user"])), "role"), (export_of(message("a", text=7)), "type")),
        *((export_of(message("a", created="now")), "type"), (export_of(message("a", created=1e999)), "type")),
        *((export_of(message("")), "type"), (export_of(message("a" * 2000)), "too-large")),
        *(
            (export_of(title={}), "type"),
            (export_of(messages={}), "type"),
            (export_of(messages=[[]]), "type"),
        ),
        *((export_of(keep_reasoning=1), "type"), (export_of(message("a", parent=3)), "type")),
    ],
)
def test_hostile_files_are_refused(data: bytes, hint: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(data)
    assert refused.value.hint == hint
    assert say(f"errors.ConversationsInvalid.hint.{hint}")


def test_odd_values_are_made_safe() -> None:
    odd = message("b", "a", status=["?"], seed=-1, created=-5, text="a\r\nb\ud800", reasoning="\x1b")
    (tree,) = parse(
        export_of(odd, message("a", seed=2**80, created=10**400), tip="b", chosen_template="../x")
    )
    assert tree.thread.chosen_template == ""
    assert [each.id for each in tree.nodes] == ["a", "b"]  # parents first
    assert [(each.seed, each.status) for each in tree.nodes] == [(None, "stopped")] * 2
    assert (tree.nodes[1].message.text, tree.nodes[1].created) == ("a\nb\ufffd", 0.0)


def test_a_long_chain_of_messages_is_no_deep_recursion() -> None:
    chain = [message(str(at), str(at - 1) if at else None) for at in range(20_000)]
    (tree,) = parse(export_of(*reversed(chain)))
    assert [each.id for each in tree.nodes] == [str(at) for at in range(20_000)]


def test_a_bad_file_changes_nothing(cli: Cli, engine: FakeEngine, library: Paths, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(export_of(message("a"), message("b", "z")))
    said = cli("convs", "import", str(file))
    assert (said.code, "conversations[0].messages" in said.err) == (FAILURE, True)
    assert len(json.loads(cli("convs", "list", "--json").out)) == 2
    assert cli("convs", "import", str(tmp_path / "nothing")).code == NOT_FOUND


# ------------------------------------------------------------------------------------------------ rm


def test_rm_is_undone_for_thirty_days(cli: Cli, engine: FakeEngine, library: Paths) -> None:
    assert cli("convs", "rm", "what").code == OK
    assert cli("convs", "show", "what").code == NOT_FOUND
    assert cli("convs", "show", "what", "--deleted").code == OK
    assert json.loads(cli("convs", "search", "state", "--json").out)["number"] == 0
    assert json.loads(cli("convs", "search", "state", "--deleted", "--json").out)["number"] == 1
    assert cli("convs", "rm", "what", "--restore").code == OK
    assert cli("convs", "show", "what").code == OK
    assert cli("convs", "rm", "what", "--erase", "--restore").code == USAGE


def test_erase_asks_and_then_leaves_nothing(cli: Cli, engine: FakeEngine, library: Paths) -> None:
    with closing(connect(library.database)) as db:
        thread, asked = speak(db, "my verysecretword is here")
        nodes.save_reply(db, thread, reply(asked, "ok", prefix="b" * 64))
    made = backup.rotate(library.database, library.backups)
    assert made is not None
    os.utime(made, (1e9, 1e9))
    said = cli("convs", "rm", "my very", "--erase")
    assert (said.code, say("convs.rm.needs_yes") in said.err) == (USAGE, True)
    assert cli("convs", "rm", "my very", "--erase", "--yes").code == OK
    assert "b" * 64 in engine.forgotten
    assert cli("convs", "show", "my very", "--deleted").code == NOT_FOUND
    files = [each for each in library.data.rglob("*") if each.is_file()]
    assert [each.name for each in files if b"verysecret" in each.read_bytes()] == []
    (copy,) = backup.backups(library.backups)
    assert copy.stat().st_mtime == 1e9  # the next copy is due when it was
    with closing(connect(copy)) as db:
        assert [each.title for each in threads.alive(db)] == ["第二个 conversation", "What is a state?"]
        assert index.is_sound(db)
