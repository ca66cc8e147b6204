"""What a GGUF file and its Modelfile say: the vocabulary, and how a conversation is spelt."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from engine.errors import InvalidRequest, WeightsCorrupt
from engine.tokenizer_world import ENTRIES, world_tokenizer
from engine.types import SamplingParams
from engine.weights.archive import open_archive
from engine.weights.export import convert
from engine.weights.gguf_header import read_header
from engine.weights.gguf_modelfile import modelfile, template, write_modelfile
from engine.weights.gguf_tokens import escaped, unescaped, world_tokens
from engine.weights.turns import WORLD, Turns, chat_template
from tests.engine import gguf_file, tiny

if TYPE_CHECKING:
    from pathlib import Path

BOT = Turns("User✿{text}✿\nBot✿", "{text}", "System✿{text}", "✿\n", "", ("✿",))


# ------------------------------------------------------------------------------------------------ tokenizer


@given(st.binary(min_size=1, max_size=12))
def test_an_escaped_token_is_the_same_bytes_again(entry: bytes) -> None:
    assert unescaped(escaped(entry)) == entry


def tokens(rows: int = 65536) -> list[bytes]:
    return [text for text, _ in world_tokens(rows)]


def test_the_vocabulary_is_written_as_the_converter_writes_it() -> None:
    texts, kinds = zip(*world_tokens(65536), strict=True)
    entry = world_tokenizer().token_bytes
    assert (texts[0], kinds[0]) == (b"<s>", gguf.TokenType.CONTROL)
    for token in range(1, ENTRIES + 1):
        assert texts[token] == repr(entry(token))[2:-1].encode()
    assert texts[ENTRIES + 1 :] == tuple(f"[PAD{token}]".encode() for token in range(ENTRIES + 1, 65536))
    assert set(kinds[1 : ENTRIES + 1]) == {gguf.TokenType.NORMAL}
    assert set(kinds[ENTRIES + 1 :]) == {gguf.TokenType.UNUSED}


def test_whose_tokenizer_a_file_has_is_told_and_a_wrong_one_refused(tmp_path: Path) -> None:
    spec = tiny.spec(n_layer=1, vocab_size=65536)
    official = tiny.tensors(spec)
    path = gguf_file.write(tmp_path / "a.gguf", spec, official, tokens=tokens())
    assert open_archive(path).notes["tokenizer"] == "world"
    swapped = tokens()
    swapped[500], swapped[501] = swapped[501], swapped[500]
    path = gguf_file.write(tmp_path / "b.gguf", spec, official, tokens=swapped)
    with pytest.raises(WeightsCorrupt, match="token 500"):
        open_archive(path)
    without = gguf_file.write(tmp_path / "c.gguf", tiny.spec(), tiny.tensors(tiny.spec()))
    assert open_archive(without).notes["tokenizer"] == "none"


def test_a_world_model_carries_its_tokenizer(tmp_path: Path) -> None:
    spec = tiny.spec(n_layer=1, vocab_size=65536)
    source = tiny.checkpoint(tmp_path / "a.pth", spec)
    for turns, end in ((WORLD, 261), (BOT, 10060)):
        path = tmp_path / f"{end}.gguf"
        list(convert(source, path, "gguf", dtype="bf16", turns=turns))
        header = read_header(path)
        assert header.text("tokenizer.ggml.model") == "rwkv"
        assert header.strings("tokenizer.ggml.tokens") == tokens()
        ends = [header.number(f"tokenizer.ggml.{kind}_token_id") for kind in ("bos", "eos", "eot")]
        assert ends == [0, 0, end]
        assert header.text("tokenizer.chat_template") == chat_template(turns)
        archive = open_archive(path)
        assert archive.notes == {"tokenizer": "world", "name": "a"}
        assert archive.types == {"F32": 20, "BF16": 14}


# ------------------------------------------------------------------------------------------------ templates

BEGIN = {"bos_token": "<s>"}
CONVERSATION = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "你好 {{x}}")]
SPELT = {
    "world": (
        WORLD,
        "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\nUser: 你好 {{x}}\n\nAssistant:",
    ),
    "bot": (BOT, "System✿Be brief.✿\nUser✿Hi✿\nBot✿Hello.✿\nUser✿你好 {{x}}✿\nBot✿"),
    "odd": (
        Turns('{{"{text}"', "={text}", "%{text}", '"', "{%", ()),
        '{%%Be brief."{{"Hi"=Hello."{{"你好 {{x}}"',
    ),
}


@pytest.mark.parametrize("name", SPELT)
def test_the_jinja_template_spells_conversations(name: str) -> None:
    turns, expected = SPELT[name]
    messages = [{"role": role, "content": text} for role, text in CONVERSATION]
    plain = Environment(autoescape=False)  # noqa: S701  a prompt is no web page
    rendered = plain.from_string(chat_template(turns)).render(messages=messages, **BEGIN)
    assert rendered == "<s>" + expected
    assert ("rwkv-world" in chat_template(turns)) == (turns == WORLD)


def go(text: str, messages: list[tuple[str, str]]) -> str:
    """As much of Go's templates as ours use: one range, ifs with else in it, strings and variables."""
    before, _, rest = text.partition("{{ range $i, $m := .Messages }}")
    body, _, after = rest.rpartition("{{ end }}")
    return before + "".join(turn(body, *each) for each in enumerate(messages)) + after


def turn(body: str, index: int, message: tuple[str, str]) -> str:
    values = {"$i": index, "$m.Role": message[0], "$m.Content": message[1]}
    output, live = [], [True]  # whether what is read now counts, by depth
    for at, part in enumerate(re.split(r"\{\{ (.*?) \}\}", body)):
        if at % 2 == 0:
            output.append(part * all(live))
        elif found := re.fullmatch(r"if (?:eq (\S+) )?(\S+)", part):
            left, right = found.groups()
            live.append(values[left] == json.loads(right) if left else bool(values[right]))
        elif part == "else":
            live[-1] = not live[-1]
        elif part == "end":
            live.pop()
        elif all(live):
            output.append(str(values[part]) if part in values else json.loads(part))
    assert live == [True]
    return "".join(output)


@pytest.mark.parametrize("name", SPELT)
def test_the_modelfiles_template_spells_conversations(name: str) -> None:
    turns, expected = SPELT[name]
    assert go(template(turns), CONVERSATION) == "<s>" + expected


def parsed(text: str) -> list[tuple[str, str]]:
    """Commands of a Modelfile: a value in quotes may go over lines."""
    found = re.findall(r'^(FROM|TEMPLATE|PARAMETER \w+) ("""[\s\S]*?"""|"[^"\n]*"|\S+)$', text, re.MULTILINE)
    return [(command, re.sub(r'^("""|")([\s\S]*)\1$', r"\2", value)) for command, value in found]


def test_a_modelfile_stands_beside_its_model(tmp_path: Path) -> None:
    sampling = SamplingParams(temperature=0.3, top_p=0.55, max_tokens=500, presence_penalty=0.1)
    path = write_modelfile(tmp_path / "my model.gguf", WORLD, sampling)
    assert path == tmp_path / "my model.Modelfile"
    assert parsed(path.read_text()) == [
        ("FROM", "./my model.gguf"),
        ("TEMPLATE", template(WORLD)),
        ("PARAMETER stop", "\n\nUser:"),
        ("PARAMETER num_ctx", "32768"),
        ("PARAMETER repeat_penalty", "1"),
        ("PARAMETER temperature", "0.3"),
        ("PARAMETER top_p", "0.55"),
        ("PARAMETER top_k", "0"),
        ("PARAMETER min_p", "0"),
        ("PARAMETER presence_penalty", "0.1"),
        ("PARAMETER frequency_penalty", "0"),
        ("PARAMETER num_predict", "500"),
    ]


def test_a_name_that_a_modelfile_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        modelfile(tmp_path / 'a".gguf')
