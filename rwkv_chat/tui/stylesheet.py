"""Style rules that are parsed once, and looked through where they may fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

if TYPE_CHECKING:
    from textual.css.model import RuleSet
    from textual.dom import DOMNode

SOURCES = 1024  # more than there are widgets and screens
LOOKS = 4  # sets of theme variables

_parsed: LRUCache[frozenset[tuple[str, str]], LRUCache[tuple, list[RuleSet]]] = LRUCache(LOOKS)


class KeptStylesheet(Stylesheet):
    """Parses each source once for each set of theme variables; the rules of the last sets are kept, for
    whoever goes from one theme to another and back.

    Textual's own parses all of them again whenever a screen brings one of its own or a theme is set (three
    times before the first frame), and looks through all of them for every widget.
    """

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._parse_cache = _rules_with(self._variables)
        self._of_names: dict[frozenset[str], list[RuleSet]] = {}  # in the order of all rules
        self._fitting: list[RuleSet] | None = None

    def set_variables(self, variables: dict[str, str]) -> None:
        """Other rules where a variable has changed."""
        if variables != self._variables:
            self._parse_cache = LRUCache(1)  # which the base class empties
            super().set_variables(variables)
            self._parse_cache = _rules_with(variables)

    def parse(self) -> None:
        super().parse()
        self._of_names.clear()

    def reparse(self) -> None:
        """Only what was not parsed with these variables."""
        self.parse()

    @property
    def rules(self) -> list[RuleSet]:
        """All of them; while a widget gets its styles, those that name its type, its id or a class of it."""
        return super().rules if self._fitting is None else self._fitting

    def apply(self, node: DOMNode, *, animate: bool = False, cache: dict[tuple, Any] | None = None) -> None:
        self._fitting = None  # not those of the widget around it
        self._fitting = self._named(node)
        try:
            super().apply(node, animate=animate, cache=cache)
        finally:
            self._fitting = None

    def _named(self, node: DOMNode) -> list[RuleSet]:
        """The rules that one of a widget's names may choose."""
        rules = self.rules  # parsed now, and so is their map
        names = frozenset(self.rules_map.keys() & node._selector_names)  # noqa: SLF001  no public way
        if names not in self._of_names:
            self._of_names[names] = [each for each in rules if not names.isdisjoint(each.selector_names)]
        return self._of_names[names]


def _rules_with(variables: dict[str, str]) -> LRUCache[tuple, list[RuleSet]]:
    """What was parsed with them so far, by source."""
    key = frozenset(variables.items())
    if key not in _parsed:
        _parsed[key] = LRUCache(SOURCES)
    return _parsed[key]
