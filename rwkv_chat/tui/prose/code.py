"""Colours for code: marks per token, for a short table of languages."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rwkv_chat.tui.prose.line import Run

KNOWN = (
    "bash c cpp css diff go html java javascript json kotlin lua python"
    " ruby rust sql swift toml typescript xml yaml"
)
ALIASES = {
    "c++": "cpp",
    "js": "javascript",
    "py": "python",
    "rs": "rust",
    "sh": "bash",
    "shell": "bash",
    "ts": "typescript",
}
LANGUAGES = {name: name for name in KNOWN.split()} | ALIASES

# First match wins, so a finer kind stands before a coarser one.
_MARKS = (
    ("Token.Comment", "code-comment"),
    ("Token.Literal.String", "code-string"),
    ("Token.Literal.Number", "code-number"),
    ("Token.Keyword", "code-keyword"),
    ("Token.Operator.Word", "code-keyword"),
    ("Token.Name.Function", "code-name"),
    ("Token.Name.Class", "code-name"),
    ("Token.Name.Tag", "code-keyword"),
    ("Token.Name.Builtin", "code-builtin"),
    ("Token.Name.Decorator", "code-builtin"),
    ("Token.Generic.Inserted", "code-string"),
    ("Token.Generic.Deleted", "code-keyword"),
)
MAX_LINE, MAX_CODE = 1_000, 30_000  # a regular-expression lexer can be slow on odd long lines


def code_rows(code: str, language: str) -> list[list[Run]]:
    """One list of runs per line of code; unknown languages and overlong code stay plain."""
    rows = code.expandtabs(4).split("\n")
    lexer = _lexer(LANGUAGES.get(language.lower(), ""))
    if lexer is None or len(code) > MAX_CODE or max(map(len, rows)) > MAX_LINE:
        return [[(row, ("fence",))] for row in rows]
    return _rows(lexer, "\n".join(rows))


def _rows(lexer: Any, code: str) -> list[list[Run]]:
    rows: list[list[Run]] = [[]]
    for kind, text in lexer.get_tokens(code):
        marks = _marks(str(kind))
        for index, part in enumerate(text.split("\n")):
            if index:
                rows.append([])
            if part:
                rows[-1].append((part, marks))
    return rows[: code.count("\n") + 1]


@functools.cache
def _marks(kind: str) -> tuple[str, ...]:
    for prefix, mark in _MARKS:
        if kind.startswith(prefix):
            return ("fence", mark)
    return ("fence",)


@functools.cache
def _lexer(name: str) -> Any | None:
    if not name:
        return None
    from pygments.lexers import get_lexer_by_name  # late: most conversations hold no code

    return get_lexer_by_name(name, stripnl=False, ensurenl=False)
