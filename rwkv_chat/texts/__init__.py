"""The text catalogue: every sentence that the program says, by dotted name, in `<language>/<part>.toml`.

    say("keys.chat.new.label")            -> "New chat"
    say("errors.ModelNotFound.what", path="x.pth")

The first component names the file, the rest the nested tables. Placeholders are `str.format` fields.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

DEFAULT_LANGUAGE = "en"


@functools.cache
def _part(language: str, part: str) -> dict[str, Any]:
    source = Path(__file__).parent / language / f"{part}.toml"  # not importlib.resources: it slows the start
    return tomllib.loads(source.read_text(encoding="utf-8"))


def lookup(name: str, language: str = DEFAULT_LANGUAGE) -> str | None:
    """The raw text under a dotted name; None where the catalogue has none."""
    part, *path = name.split(".")
    found: Any = _part(language, part)
    for step in path:
        if not isinstance(found, dict) or step not in found:
            return None
        found = found[step]
    return found if isinstance(found, str) else None


def say(name: str, /, **values: object) -> str:
    """The text under a dotted name, its placeholders filled.

    Raises:
        KeyError: no such text: a bug of ours, caught by the test that walks every name.
    """
    text = lookup(name)
    if text is None:
        raise KeyError(name)
    return text.format(**values) if values else text
