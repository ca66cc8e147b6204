"""Tokens as rows: id, bytes, and the characters where the bytes do not show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rwkv_chat.session import ExactPrompt


def row(token: int, data: bytes) -> dict[str, Any]:
    """`text` is None where the bytes are not whole UTF-8."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    return {"id": token, "bytes": data.hex(), "text": text}


def line(row: dict[str, Any]) -> str:
    """`33155  b'Hello'`, and the character where the bytes do not show it."""
    data = bytes.fromhex(row["bytes"])
    text = row["text"]
    shown = f"  {text}" if text is not None and not text.isascii() and text.isprintable() else ""
    return f"{row['id']:>6}  {data!r}{shown}"


def rows(prompt: ExactPrompt) -> list[dict[str, Any]]:
    return [row(token, data) for token, data in zip(prompt.tokens, prompt.pieces, strict=True)]


def record(prompt: ExactPrompt) -> dict[str, Any]:
    """The one object of --json."""
    return {
        "template": prompt.template,
        "mode": prompt.mode,
        "known": prompt.new_from,
        "tokens": rows(prompt),
    }


def lines(prompt: ExactPrompt) -> Iterator[str]:
    return map(line, rows(prompt))


def heading(prompt: ExactPrompt) -> str:
    """Which template, which mode, how many tokens and how many of them new."""
    return say(
        "cli.prompt",
        template=prompt.template,
        mode=prompt.mode,
        tokens=len(prompt.tokens),
        new=len(prompt.tokens) - prompt.new_from,
    )
