"""Odd messages are told, by kind, place and word; ordinary ones are not."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwkv_chat import templates
from rwkv_chat.lint import Kind, Lint, lint
from rwkv_chat.texts import lookup

ODD = [
    ("classic", "What?", ()),
    ("classic", "  What? \n", ()),
    ("classic", "a\nb\tc", ()),
    ("classic", "a\r\nb", ()),
    ("classic", "one\n\ntwo", (Lint("blank_line", 3),)),
    ("classic", "\n one\n \ntwo\n\n\nthree", (Lint("blank_line", 5),)),
    ("bot", "one\n\ntwo", (Lint("blank_line", 3),)),
    ("completion", "one\n\ntwo", ()),
    ("instruction", "one\n\ntwo", ()),
    ("completion", "one ", (Lint("trailing_space", 3),)),
    ("completion", "one\n", (Lint("trailing_space", 3),)),
    ("completion", "   ", ()),
    ("classic", "Hi\nUser: me", (Lint("role_word", 3, "User:"),)),
    ("classic", "Assistant: hi", (Lint("role_word", 0, "Assistant:"),)),
    ("classic", "the User: field", ()),
    ("raven", "User: me", ()),
    ("raven", "Bob: me", (Lint("role_word", 0, "Bob:"),)),
    ("bot", "a ✿ b", (Lint("stop_text", 2, "✿"),)),
    ("bot", "User✿x", (Lint("role_word", 0, "User✿"), Lint("stop_text", 4, "✿"))),
    ("classic", "what is <think> ?", (Lint("think_mark", 8, "<think>"),)),
    ("world-v4", "what is <think> ?", ()),
    ("classic", "a\x1bb", (Lint("control", 1, "U+001B"),)),
    ("classic", "a\x1bb\x1bc\x00", (Lint("control", 1, "U+001B"), Lint("control", 5, "U+0000"))),
    ("classic", "a\udcffb", (Lint("broken_text", 1),)),
    ("classic", "", ()),
]


@pytest.mark.parametrize(("name", "text", "found"), ODD)
def test_oddities(name: str, text: str, found: tuple[Lint, ...]) -> None:
    assert lint(templates.template(name), text) == found


def test_every_kind_has_its_sentence() -> None:
    missing = [kind for kind in get_args(Kind) if not lookup(f"lint.{kind}")]
    assert missing == []


@given(st.text(), st.sampled_from(templates.names()))
def test_any_text_can_be_looked_at(text: str, name: str) -> None:
    for each in lint(templates.template(name), text):
        assert 0 <= each.place <= len(text)
