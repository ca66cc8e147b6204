"""Tool lists, calls and results byte for byte; calls found in replies; nothing hostile is taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwkv_chat import templates
from rwkv_chat.session.reply import parse
from rwkv_chat.tools import LARGEST_CALL, Tool, ToolCall, ToolForm, calls_in, form_of

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
WEATHER = Tool("weather", "Tells the weather of {city}.", SCHEMA)
CALL = ToolCall("weather", {"city": "Bern", "days": 2})


def form(name: str) -> ToolForm:
    found = form_of(name)
    assert found is not None
    return found


def test_the_headings_form_byte_for_byte() -> None:
    template, tools = templates.template("tools"), form("tools")
    system = template.render("system", tools.listing([WEATHER], "Be kind."), first=True)
    assert system + template.render("user", "Rain?", first=False, mode=template.mode("free")) == (
        "### System\nBe kind.\n"
        "### `weather`\n**Description:** Tells the weather of {city}.\n**Parameters:**\n```json\n"
        + json.dumps(SCHEMA, indent=2)
        + "\n```\n"
        "To call one of these tools, write exactly this format:\n**Tool Call:**\n```json\n"
        '{"name": "tool_name", "arguments": {"key": "value"}}\n```\n'
        "Do not invent tool call IDs or write tool outputs yourself.\n"
        "### User\nRain?\n### Assistant\n<think"
    )
    assert template.render("assistant", tools.calls([CALL]), first=False) == (
        '\n**Tool Call:**\n```json\n{\n  "name": "weather",\n  "arguments": {\n    "city": "Bern",\n'
        '    "days": 2\n  }\n}\n```'
    )
    assert tools.answer({"rain": True}) == (
        '### Tool Output\n```json\n{\n  "rain": true\n}\n```\n### Assistant'
    )


def test_the_classic_form_byte_for_byte() -> None:
    template, tools = templates.template("classic-tools"), form("classic-tools")
    system = template.render("system", tools.listing([WEATHER]), first=True)
    assert system + template.render("user", "Rain?", first=False, mode=template.mode("call")) == (
        "System: Tools:\n- weather(city: string, days: integer)\nReturn only a JSON function call."
        "\n\nUser: Rain?\n\nAssistant: ```json"
    )
    assert tools.calls([CALL]) == (
        '```json\n{"name": "weather", "arguments": {"city": "Bern", "days": 2}}\n```'
    )
    assert tools.answer("sunny") == 'User: Function output:\n"sunny"\n\nAssistant:'


def test_only_two_templates_know_tools() -> None:
    assert [name for name in templates.names() if form_of(name)] == ["classic-tools", "tools"]


@pytest.mark.parametrize("name", ["tools", "classic-tools"])
def test_what_is_written_is_read_again(name: str) -> None:
    calls = (CALL, ToolCall("other", {}))
    assert calls_in(form(name).calls(calls), {"weather", "other"}) == calls


def test_a_reply_that_began_inside_the_fence() -> None:
    template = templates.template("classic-tools")
    raw = '\n{"name": "weather", "arguments": {"city": "Bern", "days": 2}}\n```'
    assert calls_in(parse(template, raw, template.mode("call"))[1], {"weather"}) == (CALL,)


FENCE = '```json\n{"name": "f", "arguments": {"a": 1}}\n```'
F = ToolCall("f", {"a": 1})
FOUND = [
    (f"Let me see.\n**Tool Call:**\n{FENCE}\nand", (), (F,)),
    (f"**Tool Call:** {FENCE}", (), (F,)),
    (FENCE, ("f",), (F,)),
    (FENCE, (), ()),
    (FENCE, ("g",), ()),
    ('<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>', (), (F,)),
    ("**Tool Call:**\n```json\n{'name': 'f', 'arguments': {'a': 1,}}\n```", (), (F,)),
    ('**Tool Call:**\n```json\n{"name": "f", "arguments": "{\\"a\\": 1}"}\n```', (), (F,)),
    ('**Tool Call:**\n```json\n{"name": "f"}\n```', (), (ToolCall("f", {}),)),
    (f"**Tool Call:**\n{FENCE}\n**Tool Call:**\n{FENCE}", ("f",), (F, F)),
    (f"{FENCE}\n**Tool Call:**\n{FENCE.replace('1', '2')}", ("f",), (F, ToolCall("f", {"a": 2}))),
    ("**Tool Call:**\n```json\n[1, 2]\n```", (), ()),
    ('**Tool Call:**\n```json\n{"name": 3}\n```', (), ()),
    ('**Tool Call:**\n```json\n{"name": "f", "arguments": [1]}\n```', (), ()),
    ("**Tool Call:**\n```json\n__import__('os').system('true')\n```", (), ()),
    ('**Tool Call:**\n```json\n{"name": "f", ', (), ()),
    ("**Tool Call:**\n```json\n" + "[" * 30_000 + "\n```", (), ()),
    ('**Tool Call:**\n```json\n{"name": "f", "arguments": {"a": "' + "x" * LARGEST_CALL + '"}}\n```', (), ()),
    ("", (), ()),
]


@pytest.mark.parametrize(("text", "known", "calls"), FOUND, ids=range(len(FOUND)))
def test_calls_are_found_as_data(text: str, known: tuple[str, ...], calls: tuple[ToolCall, ...]) -> None:
    assert calls_in(text, known) == calls


@given(st.text(alphabet=st.sampled_from("`json{}[]\":'**Tool Call:<tool_call>\n abc1,"), max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert all(isinstance(each.name, str) for each in calls_in("**Tool Call:**```json" + text + "```"))
