"""`rwkv-chat tokens`: the ids and bytes of a text."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.cli.output import result
from rwkv_chat.cli.prompt_rows import line, row
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from engine.tokenizer import Tokenizer

WORLD = "world"


@click.command("tokens", help=say("cli.tokens.help"))
@click.argument("text")
@click.option(
    "--tokenizer",
    "name",
    default=WORLD,
    show_default=True,
    metavar="world|FILE",
    help=say("cli.tokens.tokenizer"),
)
@click.option("--json", "as_json", is_flag=True, help=say("cli.tokens.json"))
def command(text: str, name: str, as_json: bool) -> None:
    """Encode exactly the bytes given, valid UTF-8 or not."""
    from engine.tokenizer import load_tokenizer
    from engine.types import TokenizerRef

    tokenizer = load_tokenizer(TokenizerRef() if name == WORLD else TokenizerRef("json", name))
    data = sys.stdin.buffer.read() if text == "-" else os.fsencode(text)
    rows = _rows(tokenizer, data)
    if as_json:
        result(json.dumps({"tokenizer": name, "ids": [each["id"] for each in rows], "tokens": rows}))
        return
    for each in rows:
        result(line(each))


def _rows(tokenizer: Tokenizer, data: bytes) -> list[dict[str, Any]]:
    """One row per token; `text` is None where its bytes are not whole UTF-8."""
    return [row(token, tokenizer.token_bytes(token)) for token in tokenizer.encode_bytes(data)]
