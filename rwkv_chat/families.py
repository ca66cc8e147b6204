"""Which family a model belongs to: its template, think modes, sampling presets and tokenizer.

The rules stand in `prompts/families.toml`. A file's name and its date decide; where the weights are known, a
row must fit them too, so that a wrong name never brings a wrong tokenizer.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rwkv_chat.paths import resource
from rwkv_chat.presets import preset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import ModelSpec, SamplingParams
    from rwkv_chat.presets import Preset

RULES = "prompts/families.toml"
TokenizerKind = Literal["world", "20b", "file"]
_DATE = re.compile(r"(?<!\d)(20\d{6})(?!\d)")


@dataclass(frozen=True, slots=True)
class Family:
    """What models of one kind have in common.

    Attributes:
        template: name of the chat template.
        modes: names of the think modes that it knows.  mode: the usual one.
        sampling: name of a preset by think mode; "" names the one for all others.
        presets: names of those worth offering, the usual ones first.
        tokenizer: "world", "20b" (`20B_tokenizer.json` beside the weights), or "file": a `tokenizer.json`
            beside the weights, without which the model cannot speak.
        tried: with real weights, by us; all others are proven on random weights only.
        licence: SPDX name, "" where we cannot know.
    """

    name: str
    title: str
    template: str = "classic"
    modes: tuple[str, ...] = ("none",)
    mode: str = "none"
    sampling: Mapping[str, str] = field(default_factory=dict, hash=False)
    presets: tuple[str, ...] = ()
    tokenizer: TokenizerKind = "world"
    tried: bool = False
    licence: str = ""

    def preset_for(self, mode: str | None = None) -> Preset | None:
        """The preset for replies in a think mode (None: the usual one); None where the family has none."""
        name = self.sampling.get(mode or self.mode) or self.sampling.get("")
        return preset(name) if name else None

    def sampling_for(self, mode: str | None = None) -> SamplingParams | None:
        """The parameters of `preset_for`."""
        found = self.preset_for(mode)
        return found.params if found else None


@dataclass(frozen=True, slots=True)
class _Rule:
    """When a family is meant. Empty `names` fit no name, but any where the weights are known."""

    family: Family
    names: tuple[re.Pattern[str], ...]
    catalogue: frozenset[str]
    arch: frozenset[str]
    vocab: frozenset[int]
    since: int
    before: int

    def fits_name(self, name: str) -> bool:
        return any(each.search(name) for each in self.names) and self.since <= _date(name) < self.before

    def fits_weights(self, spec: ModelSpec | None) -> bool:
        if spec is None:
            return True
        known_arch = not self.arch or spec.arch in self.arch
        return known_arch and (not self.vocab or spec.vocab_size in self.vocab)


def family_for(file_name: str, spec: ModelSpec | None = None, catalogue_family: str | None = None) -> Family:
    """The family of a weights file (or folder) called `file_name`.

    Args:
        spec: what the weights say, where they have been looked at.
        catalogue_family: a name of ours, which decides, or the catalogue's, which helps where the file's name
            says nothing.
    """
    rules, name = _rules(), file_name.lower().replace("_", "-")
    fitting = [each for each in rules if each.fits_weights(spec)]
    named = [each for each in fitting if each.family.name == catalogue_family]
    named += [each for each in fitting if each.fits_name(name)]
    named += [each for each in fitting if catalogue_family in each.catalogue]
    nameless = [each for each in fitting if not each.names]
    if named:
        return named[0].family
    return nameless[0].family if spec else _unlooked(rules)


def families() -> tuple[Family, ...]:
    """All of them, in the order of the rules."""
    return tuple(each.family for each in _rules())


def _unlooked(rules: tuple[_Rule, ...]) -> Family:
    """A strange name, and weights nobody has looked at: most such files are fine-tunes of World models."""
    return next(each.family for each in rules if each.family.name == "custom")


def _date(name: str) -> int:
    """The date in a file's name, as a number; 0 for none."""
    found = _DATE.search(name)
    return int(found.group(1)) if found else 0


@functools.cache
def _rules() -> tuple[_Rule, ...]:
    values = tomllib.loads(resource(RULES).read_text(encoding="utf-8"))
    return tuple(_rule(each) for each in values["family"])


def _rule(row: dict[str, Any]) -> _Rule:
    sampling, modes = row.get("sampling", {}), tuple(row["modes"])
    family = Family(
        name=row["name"],
        title=row["title"],
        template=row["template"],
        modes=modes,
        mode=row.get("mode", modes[0]),
        sampling=sampling,
        presets=tuple(dict.fromkeys((*sampling.values(), *row.get("presets", ())))),
        tokenizer=row["tokenizer"],
        tried=row.get("tried", False),
        licence=row["licence"],
    )
    names = tuple(map(re.compile, row["names"]))
    dates = row.get("from", 0), row.get("before", 99_999_999)
    called = frozenset(row.get("catalogue", ()))
    return _Rule(family, names, called, frozenset(row["arch"]), frozenset(row["vocab"]), *dates)
