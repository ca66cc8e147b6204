"""Templates and replies: exact bytes, cleaning, streamed parsing equal to whole parsing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwkv_chat.session.reply import ReplyParser, parse
from rwkv_chat.session.titles import TITLE_CELLS, title_from, width
from rwkv_chat.template_files import read
from rwkv_chat.templates import TemplateInvalid, names, template

if TYPE_CHECKING:
    from pathlib import Path

CLASSIC = template("classic")


def test_classic_turns_byte_for_byte() -> None:
    assert CLASSIC.first_ids == (0,)
    assert CLASSIC.render("user", "Hi", first=True) == "User: Hi\n\nAssistant:"
    assert CLASSIC.render("assistant", "Hello.", first=False) == " Hello."
    assert CLASSIC.render("user", "Again", first=False) == "\n\nUser: Again\n\nAssistant:"
    assert CLASSIC.render("system", "Be kind", first=True) == "System: Be kind"
    assert CLASSIC.stop.texts == ("\n\nUser:",)
    assert CLASSIC.stop.ids == (0,)


@pytest.mark.parametrize(
    ("typed", "fed"),
    [
        ("a\r\nb", "a\nb"),
        ("a\rb", "a\nb"),
        ("a\n\n\n\nb", "a\nb"),
        ("a\r\n\r\nUser: no", "a\nUser: no"),
        ("  a \n", "a"),
        ("{text} {0}", "{text} {0}"),
        ("bad \udcff byte", "bad \ufffd byte"),
    ],
)
def test_cleaning(typed: str, fed: str) -> None:
    assert CLASSIC.clean(typed) == fed


@given(st.text(alphabet=st.sampled_from("ab \n\r\tUser:"), max_size=60))
def test_no_message_can_hold_a_turn_s_end(text: str) -> None:
    cleaned = CLASSIC.clean(text)
    assert "\n\n" not in cleaned
    assert CLASSIC.clean(cleaned) == cleaned


def test_every_template_of_the_program_is_valid_and_named_after_its_file() -> None:
    assert "classic" in names()
    assert [template(each).name for each in names()] == list(names())


@pytest.mark.parametrize(
    "content",
    ["name = 'x'", "not toml", "name = 'x'\nuser = 'no slot'\nassistant = '{text}'\njoiner = ''", "user = 3"],
)
def test_an_invalid_file_is_a_typed_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(content)
    with pytest.raises(TemplateInvalid):
        read(file)


@pytest.mark.parametrize("name", ["nothing", "../classic", "", "a/b"])
def test_an_unknown_name_is_a_typed_error(name: str) -> None:
    with pytest.raises(TemplateInvalid):
        template(name)


# -------------------------------------------------------------------------------- replies


@pytest.mark.parametrize(
    ("raw", "reasoning", "answer"),
    [
        (" Hello.", "", "Hello."),
        (" Hello.\n\nMore ", "", "Hello.\n\nMore "),
        (" <think>because</think>\n Hello.", "because", "Hello."),
        ("<think>never closed", "never closed", ""),
        ("<think>ends in </thi", "ends in </thi", ""),
        ("<thin", "", "<thin"),
        ("<thinker> x", "", "<thinker> x"),
        ("see <think> there", "", "see <think> there"),
        ("<think></think>x<think>", "", "x<think>"),
        ("   ", "", ""),
    ],
)
def test_a_reply_is_split_into_thinking_and_answer(raw: str, reasoning: str, answer: str) -> None:
    assert parse(CLASSIC, raw) == (reasoning, answer)


LED = [
    ("free", ">because</think>\n Hello.", "because", "Hello."),
    ("free", ">\n\nbecause</think>Hello.", "because", "Hello."),
    ("free", "because</think> Hello.", "because", "Hello."),
    ("free", ">never closed", "never closed", ""),
    ("free", "></think>Hello.", "", "Hello."),
    ("free", ">a</think>b</think>c", "a", "b</think>c"),
    ("free", ">a<think>b</think>c", "a<think>b", "c"),
    ("free", ">", "", ""),
    ("free", "", "", ""),
    ("fast", ">\nHello.", "", "Hello."),
    ("fast", "> Hello.", "", "Hello."),
    ("fast", "Hello.", "", "Hello."),
    ("fast", ">>Hello.", "", ">Hello."),
    ("fast", ">\n<think>x</think>", "", "<think>x</think>"),
    ("fast", "", "", ""),
]


@pytest.mark.parametrize(("mode", "raw", "reasoning", "answer"), LED)
@pytest.mark.parametrize("name", ["classic", "bot"])
def test_a_reply_that_the_prompt_began(name: str, mode: str, raw: str, reasoning: str, answer: str) -> None:
    assert parse(template(name), raw, template(name).mode(mode)) == (reasoning, answer)


def test_a_reply_that_the_prompt_began_with_more_than_a_mark() -> None:
    tools = template("classic-tools")
    assert parse(tools, "\n{}\n```", tools.mode("call")) == ("", "```json\n{}\n```")
    assert parse(tools, "", tools.mode("call")) == ("", "")


def test_text_that_goes_on_keeps_its_space() -> None:
    assert parse(template("completion"), " and then\n") == ("", " and then\n")
    assert parse(template("classic"), " and then\n") == ("", "and then\n")


PARTS = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "think", ">", "/", " ", "\n", "a", "é", "👩"]), max_size=12
)


WAYS = [(each, mode.name) for each in names() for mode in template(each).modes]


@given(PARTS, st.sampled_from(WAYS), st.randoms())
def test_streamed_equals_whole_wherever_it_is_cut(parts: list[str], way: tuple[str, str], random) -> None:
    raw, form = "".join(parts), template(way[0])
    mode = form.mode(way[1])
    parser, shown, place = ReplyParser(form, mode), {"reasoning": "", "answer": ""}, 0
    deltas = []
    while place < len(raw):
        size = random.randint(1, 5)
        deltas += parser.feed(raw[place : place + size])
        place += size
    for each in (*deltas, *parser.finish()):
        shown[each.part] += each.text
    assert (shown["reasoning"], shown["answer"]) == parse(form, raw, mode)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_longer_reply_begins_with_what_was_shown(raw: str, more: str) -> None:
    """What is written while a reply grows is always a beginning of what is written later."""
    for earlier, later in zip(_shown(raw), parse(CLASSIC, raw + more), strict=True):
        assert later.startswith(earlier)


def _shown(raw: str) -> tuple[str, str]:
    deltas = ReplyParser(CLASSIC).feed(raw)
    return (
        "".join(each.text for each in deltas if each.part == "reasoning"),
        "".join(each.text for each in deltas if each.part == "answer"),
    )


# -------------------------------------------------------------------------------- titles


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello\nworld", "Hello"),
        ("\n  \n  spaced   out \n", "spaced out"),
        ("\x1b[31mred\x07", "[31mred"),
        ("\u202eevil", "evil"),
        ("", ""),
        ("\x00\n\x9b", ""),
    ],
)
def test_titles(text: str, title: str) -> None:
    assert title_from(text) == title


@given(st.text(max_size=200))
def test_titles_fit_and_show_nothing_harmful(text: str) -> None:
    title = title_from(text)
    assert width(title) <= TITLE_CELLS
    assert "\n" not in title
    assert "\x1b" not in title


def test_wide_characters_count_twice() -> None:
    assert width("漢字é") == 5
    assert title_from("漢" * 40) == "漢" * 28 + "..."
