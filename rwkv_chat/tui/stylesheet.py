"""Style rules that are parsed once."""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

SOURCES = 1024  # more than there are widgets and screens


class KeptStylesheet(Stylesheet):
    """Parses each source once for each set of theme variables.

    Textual's own parses all of them again whenever a screen brings one of its own or a theme is set: three
    times before the first frame.
    """

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(SOURCES)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Forgets the rules only where a variable has changed."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Only what was not parsed with these variables."""
        self.parse()
