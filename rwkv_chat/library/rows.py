"""Rows read tolerantly: a column that is missing, NULL or of an odd type gives a default, never an error.

Databases come from older and newer versions, from repair tools and from bad disks; whatever can still be
shown of a conversation is shown.
"""

from __future__ import annotations

import array
import functools
import json
import math
import re
import sys
from typing import TYPE_CHECKING, Any, cast, get_args

from rwkv_chat.transcript import ChatMessage, Node, NodeKind, NodeStatus, Role, Thread, ThreadKind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from engine.types import TokenIds

THOUGHT = "thought_seconds"
_ROLES = frozenset(get_args(Role))
_STATUSES = frozenset(get_args(NodeStatus))
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_NODE_KINDS, _THREAD_KINDS = frozenset(get_args(NodeKind)), frozenset(get_args(ThreadKind))


def field(row: sqlite3.Row, name: str) -> Any:
    try:
        return row[name]
    except IndexError:
        return None


def text(row: sqlite3.Row, name: str) -> str:
    value = field(row, name)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def number(row: sqlite3.Row, name: str, default: float = 0.0) -> float:
    value = field(row, name)
    return float(value) if isinstance(value, int | float) else default


def whole(row: sqlite3.Row, name: str) -> int | None:
    value = field(row, name)
    return value if isinstance(value, int) else None


def moment(row: sqlite3.Row, name: str) -> float | None:
    """A time, None where there is none."""
    value = field(row, name)
    return float(value) if isinstance(value, int | float) else None


def storable(text: str) -> str:
    """U+FFFD for lone surrogates (bytes that were no UTF-8), which SQLite cannot keep."""
    return _SURROGATES.sub("\ufffd", text)


def json_of(value: object) -> str:
    """What `items` and `mapping` read."""
    return json.dumps(value, ensure_ascii=False)


def items(row: sqlite3.Row, name: str) -> list[Any]:
    """A list that was written as JSON; an empty one where it is not that."""
    try:
        found = json.loads(text(row, name))
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def reference(row: sqlite3.Row, name: str) -> str | None:
    value = field(row, name)
    return value if isinstance(value, str) and value else None


def pack(tokens: TokenIds) -> bytes:
    """Token ids as uint32 little-endian."""
    packed = array.array("I", tokens)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack(blob: object) -> TokenIds | None:
    """The ids in a blob; None where it is not one of ours."""
    if not isinstance(blob, bytes) or len(blob) % 4:
        return None
    packed = array.array("I", blob)
    if sys.byteorder == "big":
        packed.byteswap()
    return ids(packed)


def ids(numbers: Iterable[int]) -> TokenIds:
    """Token ids in which the same one is the same object: one of its own takes up four times the place that
    it has in the tuple, and long conversations have millions.
    """
    try:
        return tuple(map(_shared_ids().__getitem__, numbers))
    except IndexError:  # a larger vocabulary, or damage
        return tuple(numbers)


@functools.cache
def _shared_ids() -> tuple[int, ...]:
    return tuple(range(65_536))


def node(row: sqlite3.Row) -> Node:
    """A message; its tokens too where the row carries them."""
    role, status, kind = text(row, "role"), text(row, "status"), text(row, "kind")
    tokens = unpack(field(row, "tokens"))
    return Node(
        id=text(row, "id"),
        parent=reference(row, "parent"),
        message=ChatMessage(
            cast("Role", role if role in _ROLES else "assistant"), text(row, "text"), text(row, "reasoning")
        ),
        tokens=tokens,
        prefix=None if tokens is None else reference(row, "prefix"),
        status=cast("NodeStatus", status if status in _STATUSES else "complete"),
        model=text(row, "model"),
        template=text(row, "template"),
        created=number(row, "created"),
        seed=whole(row, "seed"),
        mode=text(row, "mode"),
        deleted=moment(row, "deleted"),
        bookmark=None if field(row, "bookmark") is None else text(row, "bookmark"),
        pinned=bool(whole(row, "pinned")),
        fresh=bool(whole(row, "fresh")),
        kind=cast("NodeKind", kind if kind in _NODE_KINDS else ""),
        origin=reference(row, "origin"),
        rest=text(row, "rest"),
        thought_seconds=_thought_seconds(row),
    )


def _thought_seconds(row: sqlite3.Row) -> float:
    """It stands beside what the reply cost. Most have none, and are not parsed for it."""
    if THOUGHT not in text(row, "usage"):
        return 0.0
    value = mapping(row, "usage").get(THOUGHT)
    return float(value) if isinstance(value, int | float) and 0 <= value < math.inf else 0.0


def ended(row: sqlite3.Row) -> bool:
    """Whether a reply's end was written, with what it cost."""
    return "reply_tokens" in text(row, "usage")


def thread(row: sqlite3.Row) -> Thread:
    kind = text(row, "kind")
    return Thread(
        id=text(row, "id"),
        title=text(row, "title"),
        tip=reference(row, "tip"),
        model=text(row, "model"),
        template=text(row, "template"),
        created=number(row, "created"),
        updated=number(row, "updated"),
        deleted=moment(row, "deleted"),
        chosen_template=text(row, "chosen_template"),
        mode=text(row, "mode"),
        keep_reasoning=bool(whole(row, "keep_reasoning")),
        kind=cast("ThreadKind", kind if kind in _THREAD_KINDS else "chat"),
        pinned=moment(row, "pinned"),
        archived=moment(row, "archived"),
        branched_from=text(row, "branched_from"),
        persona=text(row, "persona"),
        initial=text(row, "initial"),
        sampling=mapping(row, "sampling"),
        held=bool(whole(row, "hold")),
        adapter=text(row, "adapter"),
    )


def mapping(row: sqlite3.Row, name: str) -> dict[str, Any]:
    """A JSON object; {} where it is none."""
    try:
        found = json.loads(text(row, name))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
