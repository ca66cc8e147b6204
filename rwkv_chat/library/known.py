"""What comes after a message whose chain is known already. Runs on the database thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.library import nodes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from rwkv_chat.library.nodes import StoredNode

NEAR = 8  # messages before a tip that are looked at one by one
_CODED = """
SELECT nodes.*, node_tokens.tokens, node_tokens.prefix, node_tokens.tail, node_tokens.drawn FROM nodes
LEFT JOIN node_tokens ON node_tokens.node = nodes.id AND node_tokens.coding = ? WHERE nodes.id = ?
"""


def memory_after(
    db: sqlite3.Connection, tip: str | None, coding: str, known: Mapping[str, str]
) -> tuple[StoredNode | None, tuple[StoredNode, ...]]:
    """The end of `nodes.memory` that comes after a near message whose key is the one in `known`.

    Args:
        known: keys by the messages' ids.

    Returns:
        That message, and what comes after it, two messages at least; None and the whole memory where no such
        message is near.
    """
    after: list[StoredNode] = []
    node = tip
    while node is not None and len(after) < NEAR:
        row = db.execute(_CODED, (coding, node)).fetchone()
        if row is None:
            break
        each = nodes.stored_node(row)
        if len(after) > 1 and not each.tail and known.get(node, "") == each.node.prefix:
            return each, tuple(reversed(after))
        after.append(each)
        node = None if each.node.fresh else each.node.parent
    return None, nodes.memory(db, tip, coding)
