"""One `{"text": …}` per line and conversation, as RWKV's trainers read it: in its own template.
A last message without a reply is left out: there is nothing to learn from it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rwkv_chat import templates
from rwkv_chat.templates import SLOT, Template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rwkv_chat.transcript import Node, Tree

USUAL = "classic"


def write(trees: Iterable[Tree]) -> Iterator[str]:
    for tree in trees:
        if text := document(tree, _template(tree)):
            yield json.dumps({"text": text}, ensure_ascii=False) + "\n"


def document(tree: Tree, template: Template) -> str:
    """The branch as the model would have been fed it, thoughts included: from where its memory begins."""
    fresh = max((at for at, each in enumerate(tree.path) if each.fresh), default=0)
    path = list(tree.path[fresh:])
    while path and path[-1].message.role != "assistant" and path[-1].kind != "passage":
        path.pop()
    return "".join(_turn(each, template, first=not at) for at, each in enumerate(path))


def _turn(node: Node, template: Template, *, first: bool) -> str:
    said = node.message
    if node.kind == "passage":
        return said.text
    if said.role != "assistant" or not said.reasoning or not template.think_open:
        return template.render(said.role, said.text, first=first)
    thoughts = template.clean(said.reasoning, "assistant")
    answer = template.clean(said.text, "assistant")
    whole = f"{template.think_open}{thoughts}{template.think_close}\n{answer}"
    return template.assistant.replace(SLOT, whole)


def _template(tree: Tree) -> Template:
    """The one chosen for it, else the one it was last spoken in, else the usual one."""
    known = templates.names()
    wanted = (tree.thread.chosen_template, tree.thread.template, USUAL)
    return templates.template(next(name for name in wanted if name in known))
