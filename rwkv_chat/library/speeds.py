"""How fast models have read lately. Runs on the database thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwkv_chat.library import rows

if TYPE_CHECKING:
    import sqlite3

_SPEED = (
    "SELECT sum(json_extract(usage, '$.prompt_tokens') + json_extract(usage, '$.history_tokens')) AS tokens, "
    "sum(json_extract(usage, '$.prefill_seconds')) AS seconds FROM (SELECT usage FROM nodes "
    "WHERE model = ? AND json_valid(usage) ORDER BY created DESC LIMIT 50)"
)


def prefill_speed(db: sqlite3.Connection, model: str) -> float | None:
    """Tokens per second at which a model has read lately; None where it has not, or the usage is damaged."""
    row = db.execute(_SPEED, (model,)).fetchone()
    tokens, seconds = rows.number(row, "tokens"), rows.number(row, "seconds")
    return tokens / seconds if tokens > 0 and seconds > 0 else None
