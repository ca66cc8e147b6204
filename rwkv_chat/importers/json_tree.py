"""What `rwkv_chat.exporters.json_tree` wrote, checked to the last value before anything is kept."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, cast, get_args

from rwkv_chat.exporters.json_tree import FORMAT, VERSION
from rwkv_chat.importers.forms import Refused
from rwkv_chat.templates import names, scrub
from rwkv_chat.transcript import ChatMessage, Node, NodeKind, NodeStatus, Role, Thread, ThreadKind, Tree

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1 << 30
MOST_MESSAGES = 1_000_000  # of one conversation
HEAD = 1_000  # bytes, in which our files say whose they are
LONGEST_NAME = 1_000  # characters of ids, titles and the like
LATEST = 253_402_300_799.0  # the end of the year 9999
_STATUSES = frozenset(get_args(NodeStatus)) - {"growing"}
_ROLES = frozenset(get_args(Role))


def is_ours(path: Path) -> bool:
    """Whether a file says that this program wrote it. Raises: OSError."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return FORMAT.encode() in file.read(HEAD)


def read(path: Path) -> tuple[Tree, ...]:
    """The conversations of a file; messages stand after those that they follow.

    Raises:
        Refused, OSError.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    if path.stat().st_size > MOST_BYTES:
        raise Refused("0", "too-large")
    return parse(path.read_bytes())


def parse(data: bytes) -> tuple[Tree, ...]:
    """See `read`."""
    try:
        told = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Refused("0", "not-json") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise Refused("format", "not-ours")
    version = told.get("version")
    if not isinstance(version, int) or version != VERSION:
        raise Refused("version", "newer" if isinstance(version, int) and version > VERSION else "not-ours")
    listed = _kind(told.get("conversations"), list, "conversations")
    return tuple(_tree(each, f"conversations[{at}]") for at, each in enumerate(listed))


def _tree(given: object, where: str) -> Tree:
    told: dict[str, Any] = _kind(given, dict, where)
    listed = _kind(told.get("messages"), list, f"{where}.messages")
    if len(listed) > MOST_MESSAGES:
        raise Refused(f"{where}.messages", "too-large")
    nodes = [_node(each, f"{where}.messages[{at}]") for at, each in enumerate(listed)]
    ordered = _ordered(nodes, f"{where}.messages")
    tip = _name(told, "tip", where) or None
    if tip is not None and tip not in {each.id for each in nodes}:
        raise Refused(f"{where}.tip", "parent")
    chosen = _name(told, "chosen_template", where)
    thread = Thread(
        id=_name(told, "id", where),
        title=_name(told, "title", where),
        tip=tip,
        model=_name(told, "model", where),
        template=_name(told, "template", where),
        created=_time(told, "created", where),
        updated=_time(told, "updated", where),
        chosen_template=chosen if chosen in names() else "",  # it names a file
        mode=_name(told, "mode", where),
        keep_reasoning=_flag(told, "keep_reasoning", where),
        kind=cast("ThreadKind", _word(told, get_args(ThreadKind), "chat")),
    )
    return Tree(thread, ordered)


def _node(given: object, where: str) -> Node:
    told: dict[str, Any] = _kind(given, dict, where)
    role, status, seed = told.get("role"), told.get("status"), told.get("seed")
    if not isinstance(role, str) or role not in _ROLES:
        raise Refused(f"{where}.role", "role")
    if not isinstance(status, str) or status not in _STATUSES:
        status = "stopped"
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 63:
        seed = None
    said = ChatMessage(cast("Role", role), _text(told, "text", where), _text(told, "reasoning", where))
    id_ = _name(told, "id", where)
    if not id_:
        raise Refused(f"{where}.id", "type")
    return Node(
        id=id_,
        parent=_name(told, "parent", where) or None,
        message=said,
        status=cast("NodeStatus", status),
        model=_name(told, "model", where),
        template=_name(told, "template", where),
        created=_time(told, "created", where),
        seed=seed,
        mode=_name(told, "mode", where),
        bookmark=None if told.get("bookmark") is None else _name(told, "bookmark", where),
        pinned=_flag(told, "pinned", where),
        fresh=_flag(told, "fresh", where),
        kind=cast("NodeKind", _word(told, get_args(NodeKind), "")),
        rest=_text(told, "rest", where),
    )


def _ordered(nodes: list[Node], where: str) -> tuple[Node, ...]:
    """In the order given, but each after the one that it follows."""
    known = {each.id: each for each in nodes}
    if len(known) < len(nodes):
        raise Refused(where, "twice")
    placed: dict[str, Node] = {}
    for node in nodes:
        above: list[Node] = []
        on_the_way: set[str] = set()
        at: Node | None = node
        while at is not None and at.id not in placed:
            if at.id in on_the_way:
                raise Refused(where, "cycle")
            on_the_way.add(at.id)
            above.append(at)
            if at.parent is not None and at.parent not in known:
                raise Refused(where, "parent")
            at = known[at.parent] if at.parent is not None else None
        placed |= {each.id: each for each in reversed(above)}
    return tuple(placed.values())


# ------------------------------------------------------------------------------------------------ values


def _kind(value: object, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise Refused(where, "type")
    return value


def _flag(told: dict[str, Any], name: str, where: str) -> bool:
    return _kind(told.get(name, False), bool, f"{where}.{name}")


def _word(told: dict[str, Any], known: tuple[str, ...], default: str) -> str:
    """The kind of something; one that only a newer version knows counts as the usual one."""
    value = told.get("kind")
    return value if isinstance(value, str) and value in known else default


def _text(told: dict[str, Any], name: str, where: str) -> str:
    return scrub(_kind(told.get(name, ""), str, f"{where}.{name}"))


def _name(told: dict[str, Any], name: str, where: str) -> str:
    value = told.get(name)
    text = "" if value is None else _text(told, name, where)
    if len(text) > LONGEST_NAME:
        raise Refused(f"{where}.{name}", "too-large")
    return text


def _time(told: dict[str, Any], name: str, where: str) -> float:
    value = told.get(name, 0)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Refused(f"{where}.{name}", "type")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(f"{where}.{name}", "type")
    return float(min(max(value, 0), LATEST))
