"""One HTML page that needs nothing else: every text is escaped, and the page may load and run nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rwkv_chat.transcript import Node, Tree

_HEAD = """<!DOCTYPE html>
<html><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>RWKV Chat</title><style>
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif }
article { margin: 1rem 0; padding: .5rem 1rem; border-left: .25rem solid #888 }
.user { border-color: #37c } .assistant { border-color: #2a7 }
p { white-space: pre-wrap; overflow-wrap: anywhere } details { opacity: .7 } b small { font-weight: normal }
</style></head><body>
"""


def write(trees: Iterable[Tree]) -> Iterator[str]:
    yield _HEAD
    for tree in trees:
        yield f"<h1>{_safe(tree.thread.title or say('convs.untitled'))}</h1>\n"
        for node in tree.path:
            yield _message(node, tree)
    yield "</body></html>\n"


def _message(node: Node, tree: Tree) -> str:
    said = node.message
    thoughts = f"<details><p dir=auto>{_safe(said.reasoning)}</p></details>" if said.reasoning else ""
    who = f"<b>{_safe(say(f'convs.speaker.{said.role}'))}{_branch(node, tree)}</b>"
    return f'<article class="{said.role}">{who}{thoughts}<p dir=auto>{_safe(said.text)}</p></article>\n'


def _branch(node: Node, tree: Tree) -> str:
    """Which of several alternatives this is."""
    beside = [each.id for each in tree.nodes if each.parent == node.parent]
    if len(beside) < 2 or node.id not in beside:
        return ""
    words = say("convs.branch", number=beside.index(node.id) + 1, count=len(beside))
    return f" <small>{_safe(words)}</small>"


def _safe(text: str) -> str:
    return escape(clean(text))
