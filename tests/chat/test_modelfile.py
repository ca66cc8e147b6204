"""A model leaves for Ollama with the template that it has here, word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.types import SamplingParams
from engine.weights.gguf_header import read_header
from engine.weights.gguf_modelfile import modelfile
from engine.weights.turns import WORLD, chat_template
from rwkv_chat.session.cards import ModelCard
from rwkv_chat.session.shelf_convert import Conversion, _turns, convert
from rwkv_chat.session.shelf_types import Converted
from rwkv_chat.templates import template
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["classic", "bot"])
def test_a_modelfile_is_written_where_one_is_wished_for(tmp_path: Path, name: str) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec())
    card = ModelCard("a", source, template=name, sampling=SamplingParams(temperature=0.4))
    *_, last = convert(card, tmp_path / "a.gguf", Conversion("gguf", modelfile=True), lambda: False)
    assert isinstance(last, Converted)
    assert last.modelfile == tmp_path / "a.Modelfile"
    text, turns = (tmp_path / "a.Modelfile").read_text(), _turns(template(name))
    assert text == modelfile(last.path, turns, card.sampling)
    for word in template(name).roles[:2]:
        assert word in text
    *_, plain = convert(card, tmp_path / "b.gguf", Conversion("gguf"), lambda: False)
    assert isinstance(plain, Converted)
    assert plain.modelfile is None
    assert not (tmp_path / "b.Modelfile").exists()


def test_the_classic_template_is_what_exports_take_for_granted() -> None:
    """llama.cpp's own "rwkv-world" is named in the file where it is the same, and only there."""
    assert _turns(template("classic")) == WORLD
    assert "rwkv-world" not in chat_template(_turns(template("bot")))


def test_the_file_itself_carries_the_models_template(tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "a.pth", tiny.spec(n_layer=1, vocab_size=65536))
    *_, last = convert(
        ModelCard("a", source, template="bot"), tmp_path / "a.gguf", Conversion("gguf", "bf16"), lambda: False
    )
    assert isinstance(last, Converted)
    header = read_header(last.path)
    assert header.text("tokenizer.chat_template") == chat_template(_turns(template("bot")))
    assert header.number("tokenizer.ggml.eot_token_id") == 10060  # ✿
