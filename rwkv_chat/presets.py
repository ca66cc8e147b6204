"""Sampling presets: named ways to choose tokens, one file of `prompts/sampling/` each."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidParameter
from engine.types import SamplingParams
from rwkv_chat.paths import resource

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "prompts/sampling"
KNOWN = frozenset(each.name for each in fields(SamplingParams) if each.metadata)


@dataclass(eq=False)
class PresetInvalid(Exception):
    """A preset file that cannot be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A file's name, its title for people, and its parameters (what it leaves out has its default)."""

    name: str
    title: str
    params: SamplingParams


@functools.cache
def preset(name: str) -> Preset:
    """The preset called `name`. Raises: PresetInvalid (no such file, or an unknown or impossible value)."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise PresetInvalid(name, "name")
    return read(resource(FOLDER) / f"{name}.toml")


def presets() -> tuple[Preset, ...]:
    """All that come with the program, by name."""
    return tuple(preset(each.stem) for each in sorted(resource(FOLDER).glob("*.toml")))


def read(path: Path) -> Preset:
    """A preset file, checked. Raises: PresetInvalid."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return _parse(values)
    except InvalidParameter as error:
        raise PresetInvalid(str(path), f"{error.name} = {error.value}") from error
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise PresetInvalid(str(path), f"{type(error).__name__}: {error}") from error


def _parse(values: dict[str, Any]) -> Preset:
    given = values["sampling"]
    if unknown := sorted(given.keys() - KNOWN):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    return Preset(str(values["name"]), str(values["title"]), SamplingParams(**given))
