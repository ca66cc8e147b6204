"""Inline tokens to runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token

    from rwkv_chat.tui.prose.line import Run

OPENS = {"strong_open": "strong", "em_open": "emphasis", "s_open": "struck"}
CLOSES = {"strong_close", "em_close", "s_close"}


def inline_runs(tokens: list[Token], marks: tuple[str, ...] = ()) -> list[Run]:
    """Runs in reading order; soft and hard breaks are newlines, a link's target follows its text."""
    runs: list[Run] = []
    stack = [marks]
    targets: list[str] = []
    for token in tokens:
        match token.type:
            case "softbreak" | "hardbreak":
                runs.append(("\n", stack[-1]))
            case "code_inline":
                runs.append((token.content, (*stack[-1], "code")))
            case "image":
                runs.append((_image(token), (*stack[-1], "link")))
            case "link_open":
                stack.append((*stack[-1], "link"))
                targets.append(_target(token))
            case "link_close":
                stack.pop()
                runs += _after_link(runs, targets.pop(), stack[-1])
            case kind if kind in OPENS:
                stack.append((*stack[-1], OPENS[kind]))
            case kind if kind in CLOSES:
                stack.pop()
            case _:
                runs.append((token.content, stack[-1]))
    return [run for run in runs if run[0]]


def _target(token: Token) -> str:
    href, title = str(token.attrs.get("href", "")), str(token.attrs.get("title", ""))
    return f'{href} "{title}"' if title else href


def _after_link(runs: list[Run], target: str, marks: tuple[str, ...]) -> list[Run]:
    shown = runs[-1][0] if runs else ""
    if not target or target.removeprefix("mailto:") == shown:
        return []
    return [(f" ({target})", (*marks, "muted"))]


def _image(token: Token) -> str:
    return f"{token.content or 'image'} ({token.attrs.get('src', '')})"
