"""What a text in the prompt would ask of the model if it were sent."""

from __future__ import annotations

from rwkv_chat.session.wish import ANSWER, Wish
from rwkv_chat.tui.slash import parse


def wished(typed: str) -> tuple[Wish, str]:
    """The wish, and the message that is said with it ("" for none)."""
    row, text = parse(typed)
    match row.name if row is not None else "":
        case "":
            return ANSWER, text
        case "aside" if text:
            return Wish(aside=True), text
        case "begin" if text:
            return Wish(again=True, begin=text), ""
        case "alt":
            return Wish(again=True), ""
        case "continue":
            return Wish(goes_on=True), ""
        case _:
            return ANSWER, ""
