"""Logs of assistants and of characters: every trap of each format, on the samples in tests/data/logs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rwkv_chat.importers.cards import read_png
from rwkv_chat.importers.forms import Attachment, Refused
from rwkv_chat.importers.open_webui import unfolded
from tests.chat.logs import one, read, said

if TYPE_CHECKING:
    from pathlib import Path


def test_chatgpt_follows_the_chosen_branch_and_joins_what_tools_cut() -> None:
    (sums, canvas, circle), report = read("chatgpt.json")
    assert said(sums) == [
        ("system", "I teach.\n\nBe brief."),
        ("user", "What is 2+2?"),  # what follows the picture
        ("assistant", "Let me compute.\n\nThe answer is 4."),  # without marks of citations
    ]
    answer = sums.path()[-1]
    assert (answer.reasoning, sums.path()[1].attachments) == (
        "Plan\nAdd them.",
        (Attachment("file", "board.png"),),
    )
    others = {each.text for each in sums.turns} - {each.text for each in sums.path()}
    assert others == {"First wording", "An abandoned answer"}  # a branch of their own
    assert said(canvas)[1] == ("assistant", "Roses\u2028are red\n\nDone.")
    assert said(circle) == [("user", "alone")]
    assert report.skipped == {"system": 1, "tool": 2, "hidden": 1, "bad-record": 3, "no-turns": 1}
    assert [each.id for each in (sums, canvas)] == ["conv-1", "conv-2"]
    assert (sums.created, canvas.title) == (1700000000.0, "")


def test_claude_flat_and_as_a_tree() -> None:
    (flat, tree), report = read("claude.json")
    assert said(flat) == [
        ("user", "Look at this\n\nthe pasted text"),
        ("assistant", "I see code\n\nand more."),
    ]
    assert flat.turns[1].reasoning == "Hm."
    assert said(tree) == [("user", "New wording"), ("assistant", "New answer")]
    assert len(tree.turns) == 4
    assert report.skipped == {"tool": 1, "no-turns": 1}


def test_claude_without_what_was_pasted() -> None:
    """A file that came with a message is named, and not read; all else, and who is who, stays."""
    (flat, tree), report = read("claude.json", "claude-typed")
    assert said(flat) == [("user", "Look at this"), ("assistant", "I see code\n\nand more.")]
    assert flat.turns[0].attachments == (Attachment("file", "paste.txt"),)
    with_files, its_report = read("claude.json")
    assert tree == with_files[1]
    assert (flat.form, flat.id, report) == (with_files[0].form, with_files[0].id, its_report)


def test_claude_a_pasted_file_alone_is_a_message(tmp_path: Path) -> None:
    pasted = {"file_name": "a.txt", "extracted_content": "all of it"}
    message = {"uuid": "1", "sender": "human", "text": "", "attachments": [pasted]}
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([{"uuid": "c", "name": "C", "chat_messages": [message]}]))
    assert said(one(path)) == [("user", "all of it")]
    assert said(one(path, "claude-typed")) == [("user", "<file>")]


def test_claude_documents_that_were_written_by_a_tool(tmp_path: Path) -> None:
    document = {
        "type": "tool_use",
        "name": "artifacts",
        "input": {"command": "create", "content": "print(1)"},
    }
    blocks = [
        {"type": "text", "text": "Here:"},
        document,
        {"type": "tool_use", "name": "search", "input": {}},
    ]
    messages = [
        {"uuid": "1", "sender": "human", "text": "Code?"},
        {"uuid": "2", "sender": "assistant", "text": "", "content": blocks},
    ]
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([{"uuid": "c", "name": "C", "chat_messages": messages}]))
    assert said(one(path)) == [("user", "Code?"), ("assistant", "Here:\n\nprint(1)")]


def test_deepseek_takes_the_newest_attempt() -> None:
    (new, old), _ = read("deepseek.json")
    assert said(new) == [("user", "Why?"), ("assistant", "Therefore.")]
    assert (new.path()[1].reasoning, len(new.turns), new.turns[0].time) == ("Because", 3, 1738375200.0)
    assert said(old) == [("user", "Hi"), ("assistant", "Hello")]
    assert old.turns[1].reasoning == "Greet."


def test_open_webui_unfolds_thoughts_and_leaves_code_alone() -> None:
    (tree, flat), _ = read("open_webui.json")
    assert [who for who, _ in said(tree)] == ["system", "user", "assistant"]
    answer = tree.path()[-1]
    assert answer.reasoning == "One < two\nso"
    kept = "<details><summary>mine</summary>kept</details>"
    assert answer.text == f'Yes.\n{kept}\n```html\n<details type="reasoning">code</details>\n```'
    assert "Side by side" in {each.text for each in tree.turns}
    assert said(flat) == [("user", "Old"), ("assistant", "From output")]
    assert flat.turns[1].reasoning == "Think"


def test_folded_thoughts_that_were_cut_or_hold_others() -> None:
    assert unfolded('<details type="reasoning" done="false">\n> a') == ("", "a")
    assert unfolded('<details done="true" type="reasoning">\n> a\n</details>b') == ("b", "a")
    inner = '<details type="reasoning"><details>x</details>y</details>z'
    assert unfolded(inner) == ("z", "<details>x</details>y")
    assert unfolded('<details type="reasoning">' * 50_000)[0] == ""  # and it does not take long


def test_lm_studio_takes_the_selected_version() -> None:
    found = one("lm_studio.conversation.json")
    assert said(found) == [("system", "Be exact."), ("user", "One?"), ("assistant", "Two.")]
    assert (found.path()[2].reasoning, found.turns[-1].text) == ("Count.", "First try")
    assert found.id == "lm_studio"


def test_sillytavern_names_swipes_and_a_cut_end() -> None:
    found, report = read("sillytavern.jsonl")
    assert said(found[0]) == [
        ("assistant", "Hello Kim, I am Ada."),
        ("user", "Hi\u2028there"),  # U+2028 ends no line
        ("assistant", "B"),
        ("assistant", "Bea: Me too"),
    ]
    assert [each.text for each in found[0].turns if each.parent == "2"] == ["B", "A", "C"]
    assert found[0].turns[2].reasoning == "Hm"
    assert report.skipped == {"hidden": 2, "bad-record": 1}
    assert None not in [each.time for each in found[0].path()[:3]]  # each date is written in another way


def test_character_cards_from_json_and_from_a_picture() -> None:
    card = one("card.json")
    assert card.title == "Ada"
    assert said(card) == [
        ("system", "You are Ada.\n\nAda counts.\n\ncalm\n\nThe engine is brass."),
        *(("user", "Two and two?"), ("assistant", "Four."), ("assistant", "Ready.")),
        ("assistant", "Hello, User!"),
    ]
    assert card.turns[-1].text == "Hi User."
    assert said(one("card.png"))[-1] == ("assistant", "Newer hello")  # the newer of two cards in it
    assert said(one("card_v1.json")) == [("system", "Old card"), ("assistant", "Hey")]


def test_a_picture_without_a_card(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 40)
    with pytest.raises(Refused) as refused:
        list(read_png(path))
    assert refused.value.hint == "picture"


def test_character_ai_textgen_agnai() -> None:
    assert said(one("character_ai.json")) == [("assistant", "Hello"), ("user", "Hi")]
    turns = one("character_ai_turns.json")
    assert said(turns) == [("user", "Hi"), ("assistant", "Chosen")]  # newest first; the primary candidate
    assert turns.turns[-1].text == "Other"
    found, report = read("textgen.json")
    assert said(found[0]) == [("assistant", "Greetings"), ("user", "1 < 2?"), ("assistant", "Yes & no")]
    assert report.skipped == {"bad-record": 1}
    assert said(one("agnai.json")) == [("assistant", "Hello"), ("user", "Hi")]


# ------------------------------------------------------------------------------------------------ sets


def test_openai_messages_and_broken_lines() -> None:
    (first, second, third), report = read("openai.jsonl")
    assert said(first) == [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello\u2028you")]
    assert (first.turns[2].reasoning, first.turns[1].attachments) == ("easy", (Attachment("image"),))
    assert (said(second)[1][1], said(third)[0][1]) == ("two", "no line end")  # two objects in one line
    assert report.skipped == {"tool": 2, "bad-record": 2, "no-turns": 1}
    assert said(one("openai_bare.json")) == [("user", "Hi"), ("assistant", "Hello")]


def test_sharegpt_alpaca_and_preferences() -> None:
    (found,), report = read("sharegpt.json")
    assert said(found) == [
        ("system", "Sys"),
        ("assistant", "First!"),
        ("user", "Q"),
        ("assistant", "A & B\nC"),
    ]
    assert report.skipped == {"tool": 2, "no-turns": 1}
    (history, system, picked, listed), _ = read("alpaca.json")
    assert [text for _, text in said(history)] == ["Hi", "Hello", "Translate\n\nHaus", "house"]
    assert said(system)[0] == ("system", "S")
    assert [text for _, text in said(picked)] == ["Pick", "good"]
    assert [text for _, text in said(listed)] == ["P", "C"]


def lined(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def test_answers_that_are_not_to_be_learnt_or_were_refused(tmp_path: Path) -> None:
    asked, said_there = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
    path = lined(tmp_path / "x.jsonl", {"messages": [asked, said_there | {"weight": 0}, asked, said_there]})
    assert [each.learned for each in one(path).turns] == [True, False, True, True]
    good, bad = ({"messages": [asked, said_there], "kto_tag": each} for each in (True, False))
    (found,), report = read(lined(path, bad, good))
    assert (len(found.turns), report.skipped) == (2, {"rejected": 1})
    pairs = ({"prompt": "P", "completion": "C", "label": each} for each in (True, False))
    (found,), report = read(lined(path, *pairs))
    assert ([each.text for each in found.turns], report.skipped) == (["P", "C"], {"rejected": 1})
    chosen, rejected = {"from": "gpt", "value": "good"}, {"from": "gpt", "value": "bad"}
    before = [{"from": "human", "value": "Q"}]
    (found,), _ = read(lined(path, {"conversations": before, "chosen": chosen, "rejected": rejected}))
    assert said(found) == [("user", "Q"), ("assistant", "good")]


def test_rwkv_documents_are_turns_or_one_text() -> None:
    (chat, task, novel), _ = read("rwkv.jsonl")
    assert said(chat) == [
        *(("system", "Be kind."), ("user", "Hi\nthere")),
        *(("assistant", "Hello\nUser: no turn"), ("user", "Bye"), ("assistant", "Bye")),
    ]
    assert chat.turns[2].reasoning == "greet"
    assert said(task) == [("user", "Add\n\n1 2"), ("assistant", "3")]
    assert said(novel) == [("assistant", "《Title》\n\nA whole novel\u2028in one line.")]


def test_transcripts_respect_fences_and_our_own_rule() -> None:
    (first, second), _ = read("transcript.txt")
    assert said(first)[1] == (
        "assistant",
        "Like this:\n```\nUser: not a turn\nAssistant: nor this\n```\nDone.",
    )
    assert [text for _, text in said(second)] == ["Another", "One"]
    assert said(one("transcript_utf16.txt")) == [("user", "你好"), ("assistant", "您好")]


def test_tables_of_questions_and_of_chats() -> None:
    (pair, half), _ = read("pairs.csv")
    assert said(pair) == [("user", "What; is it?"), ("assistant", "Two\nlines")]
    assert said(half) == [("user", "Only a question")]
    (trip, food), _ = read("copilot.csv")
    assert (trip.title, said(trip)) == ("Trip", [("You", "Where to?"), ("AI", "North.")])
    assert food.title == "Food"
