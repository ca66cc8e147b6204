"""The built-in model's files: tokenizer, rendering, the facts it was taught, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.tokenizer import load_tokenizer
from engine.types import TokenizerRef
from rwkv_chat.demo import render, vocabulary
from rwkv_chat.demo.corpus.dialogues import dialogue

if TYPE_CHECKING:
    from pathlib import Path

    from engine.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A small one, made from few dialogues."""
    path: Path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(vocabulary.build(1, dialogues=200, size=600).to_str())
    return load_tokenizer(TokenizerRef("json", str(path)))


def test_the_same_seed_builds_the_same_tokenizer() -> None:
    first, second = (vocabulary.build(1, dialogues=100, size=500).to_str() for _ in range(2))
    assert first == second


def test_every_byte_can_be_encoded_and_comes_back(tokenizer: Tokenizer) -> None:
    data = bytes(range(256))
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data
    text = "Grüße, 你好 🙂 \x00\x7f\n\ttab"
    assert tokenizer.decode_bytes(tokenizer.encode(text)).decode() == text


def test_id_0_ends_a_document_and_is_never_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_bytes(0) == b""
    assert 0 not in tokenizer.encode(vocabulary.END_NAME)


def test_turn_by_turn_and_whole_encoding_agree(tokenizer: Tokenizer) -> None:
    for i in range(200):
        turns = dialogue(9, i)
        tokens, weights = render.row(turns, tokenizer)
        assert list(tokens) == [render.END, *tokenizer.encode(render.whole_text(turns)), render.END]
        assert len(weights) == len(tokens)


def test_replies_and_their_ends_count_and_users_words_hardly(tokenizer: Tokenizer) -> None:
    turns = dialogue(9, 1)
    tokens, weights = render.row(turns, tokenizer)
    said = tokenizer.encode(f" {turns[0].reply}")
    at = next(i for i in range(len(tokens)) if tuple(tokens[i : i + len(said)]) == said)
    assert set(weights[1:at]) == {render.USER_WEIGHT}
    assert set(weights[at : at + len(said)]) == {turns[0].weight}
    assert weights[at + len(said)] == 1.0
    assert weights[-1] == 1.0


def test_rows_go_on_at_any_position(tokenizer: Tokenizer) -> None:
    source = render.rows(3, tokenizer, window=16, size=4)
    first = [row for _, row in zip(range(40), source(0), strict=False)]
    assert [row for _, row in zip(range(20), source(20), strict=False)] == first[20:]
