"""The schema as a list of steps; `PRAGMA user_version` counts those taken. A step is never edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.library import index

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

APPLICATION_ID = 0x52574B56  # "RWKV"


def _first(db: sqlite3.Connection) -> None:
    """Conversations.

    A tree holds every message of one conversation and its forks; a thread points at a tip in it. Token ids
    are kept per coding (tokenizer and template), so that another model may read the same text its own way
    without touching what was fed before.
    """
    db.execute(
        """CREATE TABLE nodes (
            id TEXT PRIMARY KEY,
            tree TEXT NOT NULL,
            parent TEXT REFERENCES nodes (id),
            role TEXT NOT NULL,
            text TEXT NOT NULL DEFAULT '',
            reasoning TEXT NOT NULL DEFAULT '',
            status TEXT NOT NULL DEFAULT 'complete',
            model TEXT NOT NULL DEFAULT '',
            template TEXT NOT NULL DEFAULT '',
            seed INTEGER,
            params TEXT,
            usage TEXT,
            created REAL NOT NULL DEFAULT 0
        )"""
    )
    db.execute("CREATE INDEX nodes_by_parent ON nodes (parent)")
    db.execute("CREATE INDEX nodes_by_tree ON nodes (tree)")
    db.execute(
        """CREATE TABLE node_tokens (
            node TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
            coding TEXT NOT NULL,
            tokens BLOB NOT NULL,
            prefix TEXT,
            tail TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (node, coding)
        ) WITHOUT ROWID"""
    )
    db.execute(
        """CREATE TABLE threads (
            id TEXT PRIMARY KEY,
            tree TEXT NOT NULL,
            title TEXT NOT NULL DEFAULT '',
            tip TEXT REFERENCES nodes (id),
            model TEXT NOT NULL DEFAULT '',
            template TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL DEFAULT 0,
            updated REAL NOT NULL DEFAULT 0,
            deleted REAL
        )"""
    )
    db.execute("CREATE INDEX threads_by_tree ON threads (tree)")


def _models(db: sqlite3.Connection) -> None:
    """Weights on this machine: where they lie, what their header said, and what is known of them.

    `mark` is size and time of change when the header was read; `spec` is its numbers as JSON.
    """
    db.execute(
        """CREATE TABLE models (
            path TEXT PRIMARY KEY,
            source TEXT NOT NULL DEFAULT '',
            id TEXT NOT NULL DEFAULT '',
            format TEXT NOT NULL DEFAULT '',
            spec TEXT NOT NULL DEFAULT '',
            bytes INTEGER NOT NULL DEFAULT 0,
            mark TEXT NOT NULL DEFAULT '',
            offer TEXT NOT NULL DEFAULT '',
            checked TEXT NOT NULL DEFAULT '',
            family TEXT NOT NULL DEFAULT '',
            template TEXT NOT NULL DEFAULT '',
            added REAL NOT NULL DEFAULT 0,
            verified REAL
        ) WITHOUT ROWID"""
    )


def _thinking(db: sqlite3.Connection) -> None:
    """How a conversation is spoken: its template, its think mode, whether thoughts are remembered."""
    db.execute("ALTER TABLE threads ADD COLUMN chosen_template TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE threads ADD COLUMN mode TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE threads ADD COLUMN keep_reasoning INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE nodes ADD COLUMN mode TEXT NOT NULL DEFAULT ''")


def _search(db: sqlite3.Connection) -> None:
    """The index that searches go through, made of the messages that are there (`library/index.py`); and
    what was imported, so that importing it again is noticed.
    """
    db.execute(
        """CREATE TABLE imports (
            digest TEXT PRIMARY KEY,
            thread TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE
        ) WITHOUT ROWID"""
    )
    db.execute(
        "CREATE TABLE search_docs (id INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE, tree TEXT NOT NULL)"
    )
    db.execute(
        "CREATE VIRTUAL TABLE search USING fts5 (text, marks, content='', prefix='2 3', tokenize='ascii')"
    )
    db.execute("CREATE TABLE search_models (model TEXT PRIMARY KEY) WITHOUT ROWID")
    db.execute("CREATE INDEX threads_by_time ON threads (updated, created) WHERE deleted IS NULL")
    index.rebuild(db)


def _states(db: sqlite3.Connection) -> None:
    """The library of states: personas, the states that each has, and states that came from outside.

    A persona keeps what it was made of (`messages`, as JSON) and, for each model that read it, the exact
    tokens: so it outlives the conversation that it was saved from (`origin` is that one's tree). A state
    that came from outside is an initial state under an id of its own: what is made from it is kept apart
    from all that was read here. A conversation remembers which persona it began from, the initial state that
    its chain begins from, sampling of its own, and whether its state is never given up (`hold`).
    """
    db.execute(
        """CREATE TABLE personas (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            kind TEXT NOT NULL DEFAULT 'lived',
            description TEXT NOT NULL DEFAULT '',
            tags TEXT NOT NULL DEFAULT '[]',
            messages TEXT NOT NULL DEFAULT '[]',
            template TEXT NOT NULL DEFAULT '',
            mode TEXT NOT NULL DEFAULT '',
            sampling TEXT NOT NULL DEFAULT '{}',
            origin TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL DEFAULT 0,
            used REAL
        ) WITHOUT ROWID"""
    )
    db.execute(
        """CREATE TABLE persona_states (
            persona TEXT NOT NULL REFERENCES personas (id) ON DELETE CASCADE,
            model TEXT NOT NULL,
            model_name TEXT NOT NULL DEFAULT '',
            tier TEXT NOT NULL DEFAULT '',
            coding TEXT NOT NULL DEFAULT '',
            adapter TEXT NOT NULL DEFAULT '',
            initial TEXT NOT NULL DEFAULT '',
            prefix TEXT NOT NULL DEFAULT '',
            tokens BLOB,
            lengths TEXT NOT NULL DEFAULT '[]',
            bytes INTEGER NOT NULL DEFAULT 0,
            made REAL NOT NULL DEFAULT 0,
            PRIMARY KEY (persona, model, tier, coding)
        ) WITHOUT ROWID"""
    )
    db.execute(
        """CREATE TABLE initials (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL DEFAULT 'tuned',
            file TEXT NOT NULL DEFAULT '',
            name TEXT NOT NULL DEFAULT '',
            model TEXT NOT NULL DEFAULT '',
            tier TEXT NOT NULL DEFAULT '',
            prefix TEXT NOT NULL DEFAULT '',
            length INTEGER NOT NULL DEFAULT 0,
            difference REAL,
            added REAL NOT NULL DEFAULT 0
        ) WITHOUT ROWID"""
    )
    db.execute("ALTER TABLE threads ADD COLUMN persona TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE threads ADD COLUMN initial TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE threads ADD COLUMN sampling TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE threads ADD COLUMN hold INTEGER NOT NULL DEFAULT 0")
    # all that was drawn of a reply that is not at its end, where that is not what will be remembered
    db.execute("ALTER TABLE node_tokens ADD COLUMN drawn BLOB")
    db.execute("CREATE INDEX node_tokens_by_prefix ON node_tokens (prefix)")


def _tree(db: sqlite3.Connection) -> None:
    """Working with the tree.

    Of messages: `deleted` with the branch that it stood in, and since when; `origin` is the message that it
    is another form of (a copy, an edit, a reply that went on); `fresh`: memory begins anew with it, and what
    stands before it is shown but not known; `kind` is "passage" for a part of a text that is read as it
    stands; `rest` is what stood after the cursor of a text. Of conversations: `kind` is "chat", "text" (raw
    completion) or "reading" (a book that is read in the background).

    `steps` is what can be undone: where the tip stood before and after. `readings` are the texts that are
    read, and how far.
    """
    db.execute("ALTER TABLE nodes ADD COLUMN deleted REAL")
    db.execute("ALTER TABLE nodes ADD COLUMN bookmark TEXT")
    db.execute("ALTER TABLE nodes ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE nodes ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE nodes ADD COLUMN kind TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE nodes ADD COLUMN origin TEXT")
    db.execute("ALTER TABLE nodes ADD COLUMN rest TEXT NOT NULL DEFAULT ''")
    db.execute("CREATE INDEX nodes_deleted ON nodes (deleted) WHERE deleted IS NOT NULL")
    db.execute("CREATE INDEX nodes_bookmarked ON nodes (tree) WHERE bookmark IS NOT NULL")
    db.execute("ALTER TABLE threads ADD COLUMN kind TEXT NOT NULL DEFAULT 'chat'")
    db.execute("ALTER TABLE threads ADD COLUMN pinned REAL")
    db.execute("ALTER TABLE threads ADD COLUMN archived REAL")
    db.execute("ALTER TABLE threads ADD COLUMN branched_from TEXT NOT NULL DEFAULT ''")
    db.execute(
        """CREATE TABLE thread_tags (
            thread TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
            tag TEXT NOT NULL,
            PRIMARY KEY (thread, tag)
        ) WITHOUT ROWID"""
    )
    db.execute("CREATE INDEX thread_tags_by_tag ON thread_tags (tag)")
    db.execute(
        """CREATE TABLE steps (
            id INTEGER PRIMARY KEY,
            thread TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            before TEXT,
            after TEXT,
            branch TEXT,
            undone INTEGER NOT NULL DEFAULT 0,
            made REAL NOT NULL DEFAULT 0
        )"""
    )
    db.execute("CREATE INDEX steps_by_thread ON steps (thread, undone, id)")
    db.execute(
        """CREATE TABLE readings (
            thread TEXT PRIMARY KEY REFERENCES threads (id) ON DELETE CASCADE,
            source TEXT NOT NULL DEFAULT '',
            digest TEXT NOT NULL DEFAULT '',
            passages INTEGER NOT NULL DEFAULT 0,
            tokens INTEGER NOT NULL DEFAULT 0,
            done INTEGER NOT NULL DEFAULT 0,
            paused INTEGER NOT NULL DEFAULT 0,
            finished REAL,
            begun REAL NOT NULL DEFAULT 0
        ) WITHOUT ROWID"""
    )


def _fifth(db: sqlite3.Connection) -> None:
    """Conversations as trees, states as things that one can hold."""
    _states(db)
    _tree(db)


def _pinned(db: sqlite3.Connection) -> None:
    """The pinned conversations are found without looking at all of them."""
    db.execute("CREATE INDEX threads_pinned ON threads (pinned) WHERE pinned IS NOT NULL")


def _drafts(db: sqlite3.Connection) -> None:
    """Messages that are not sent yet; the one without a conversation is for a new one."""
    db.execute(
        """CREATE TABLE drafts (
            thread TEXT UNIQUE REFERENCES threads (id) ON DELETE CASCADE,
            text TEXT NOT NULL DEFAULT '',
            folded TEXT NOT NULL DEFAULT '[]',
            queued TEXT NOT NULL DEFAULT '',
            changed REAL NOT NULL DEFAULT 0
        )"""
    )


def _tuned(db: sqlite3.Connection) -> None:
    """What was trained here: adapters, the conversations that a trained persona has read, and which adapter a
    conversation speaks with.

    `adapters` is what `initials` is for states: one row for each that is in the folder of adapters, by the
    engine's id, with the model that it was made for; a persona of the kind "adapter" has a state that names
    it.
    """
    db.execute(
        """CREATE TABLE adapters (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL DEFAULT '',
            file TEXT NOT NULL DEFAULT '',
            name TEXT NOT NULL DEFAULT '',
            model TEXT NOT NULL DEFAULT '',
            model_name TEXT NOT NULL DEFAULT '',
            added REAL NOT NULL DEFAULT 0
        ) WITHOUT ROWID"""
    )
    db.execute(
        """CREATE TABLE persona_sources (
            persona TEXT NOT NULL REFERENCES personas (id) ON DELETE CASCADE,
            tree TEXT NOT NULL,
            PRIMARY KEY (persona, tree)
        ) WITHOUT ROWID"""
    )
    db.execute("CREATE INDEX persona_sources_by_tree ON persona_sources (tree)")
    db.execute("ALTER TABLE threads ADD COLUMN adapter TEXT NOT NULL DEFAULT ''")


def _places(db: sqlite3.Connection) -> None:
    """Drafts of several windows beside one another, and of messages that are being changed; and which
    messages were taken in from elsewhere: of conversations that were imported before, every one.

    `place` is "" for the prompt; else what the text is of (`library/drafts.py`).
    """
    db.execute("ALTER TABLE drafts RENAME TO drafts_before")
    db.execute(
        """CREATE TABLE drafts (
            thread TEXT REFERENCES threads (id) ON DELETE CASCADE,
            place TEXT NOT NULL DEFAULT '',
            window TEXT NOT NULL DEFAULT '',
            text TEXT NOT NULL DEFAULT '',
            folded TEXT NOT NULL DEFAULT '[]',
            queued TEXT NOT NULL DEFAULT '',
            changed REAL NOT NULL DEFAULT 0
        )"""
    )
    db.execute(
        "INSERT INTO drafts (thread, text, folded, queued, changed) "
        "SELECT thread, text, folded, queued, changed FROM drafts_before"
    )
    db.execute("DROP TABLE drafts_before")
    db.execute("CREATE INDEX drafts_by_thread ON drafts (thread)")
    db.execute("ALTER TABLE nodes ADD COLUMN taken INTEGER NOT NULL DEFAULT 0")
    db.execute(
        "UPDATE nodes SET taken = 1 "
        "WHERE tree IN (SELECT tree FROM threads WHERE id IN (SELECT thread FROM imports))"
    )


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    *(_first, _models, _thinking, _search, _fifth),
    _pinned,
    _drafts,
    _tuned,
    _places,
)


def migrate(db: sqlite3.Connection) -> None:
    """Take the steps that are missing, each in a transaction of its own."""
    while (version := db.execute("PRAGMA user_version").fetchone()[0]) < len(MIGRATIONS):
        db.execute("BEGIN IMMEDIATE")
        try:
            _step(db, version)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise


def _step(db: sqlite3.Connection, seen: int) -> None:
    """The step after version `seen`, unless another program took it while we waited for the lock."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != seen:
        return
    MIGRATIONS[version](db)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {version + 1}")
