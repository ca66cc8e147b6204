"""Whole conversations, every branch of them: out of the library and into it. Runs on the database thread."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from rwkv_chat.library import index, nodes, rows, threads
from rwkv_chat.library.database import transaction
from rwkv_chat.transcript import Tree

if TYPE_CHECKING:
    import sqlite3

    from rwkv_chat.transcript import Node


def tree(db: sqlite3.Connection, thread: str) -> Tree:
    """A conversation with every living message of its tree, oldest first. Raises: ThreadMissing."""
    found = threads.get(db, thread)
    stored = db.execute(
        "SELECT * FROM nodes WHERE tree = (SELECT tree FROM threads WHERE id = ?) AND deleted IS NULL "
        "ORDER BY created, rowid",
        (thread,),
    )
    path = tuple(each.node for each in nodes.path(db, nodes.tip(db, thread)))
    return Tree(found, tuple(rows.node(row) for row in stored), path)


def digest(found: Tree) -> str:
    """Equal for the same conversation under other ids: its title, messages, branches and where it stands."""
    place = {each.id: at for at, each in enumerate(found.nodes)}
    said = [
        (place.get(each.parent or "", -1), each.message.role, each.message.text, each.message.reasoning)
        for each in found.nodes
    ]
    told = json.dumps([found.thread.title, place.get(found.thread.tip or "", -1), said])
    return hashlib.blake2b(told.encode(), digest_size=32).hexdigest()


def known(db: sqlite3.Connection, found: Tree) -> str | None:
    """The conversation that is the same: the one that was exported, or one that was imported before."""
    imported = db.execute(
        "SELECT threads.id FROM imports JOIN threads ON threads.id = imports.thread "
        "WHERE digest = ? AND deleted IS NULL",
        (digest(found),),
    ).fetchone()
    if imported is not None:
        return imported[0]
    own = db.execute("SELECT id FROM threads WHERE id = ? AND deleted IS NULL", (found.thread.id,)).fetchone()
    return own[0] if own is not None and digest(tree(db, own[0])) == digest(found) else None


def add(db: sqlite3.Connection, found: Tree, mark: str = "") -> str:
    """A new conversation with new ids, without tokens: a model that goes on with it reads its text. Parents
    stand before their replies in `found.nodes`.

    Args:
        mark: by which an import of the same one is noticed later; without one, its content is.

    Returns:
        The id of the new thread.
    """
    given, of = {each.id: threads.new_id() for each in found.nodes}, found.thread
    with transaction(db):
        thread = threads.create(db, of.title, kind="chat" if of.kind == "reading" else of.kind).id
        for each in found.nodes:
            add_node(db, thread, given, each)
        db.execute(
            "UPDATE threads SET tip = ?, created = ?, updated = ?, template = ?, "
            "chosen_template = ?, mode = ?, keep_reasoning = ? WHERE id = ?",
            (
                *(given.get(of.tip or ""), of.created, of.updated, of.template, of.chosen_template, of.mode),
                *(int(of.keep_reasoning), thread),
            ),
        )
        db.execute(
            "INSERT OR REPLACE INTO imports (digest, thread) VALUES (?, ?)", (mark or digest(found), thread)
        )
    return thread


def add_node(db: sqlite3.Connection, tree: str, given: dict[str, str], node: Node) -> None:
    """A message of a tree under the id in `given`, after the one that `given` names for its parent."""
    said = node.message
    db.execute(
        "INSERT INTO nodes (id, tree, parent, role, text, reasoning, status, model, template, mode, seed, "
        "created, bookmark, pinned, fresh, kind, rest, taken) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
        (
            *(given[node.id], tree, given.get(node.parent or ""), said.role, said.text, said.reasoning),
            *(node.status, node.model, node.template, node.mode, node.seed, node.created, node.bookmark),
            *(int(node.pinned), int(node.fresh), node.kind, node.rest),
        ),
    )
    index.add(db, given[node.id])
