"""Sampling presets: named ways to choose tokens. Those that come with the program are files of
`prompts/sampling/`; a person's own are files of the same form in the folder `presets` of the settings.
"""

from __future__ import annotations

import functools
import logging
import re
import tomllib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidParameter
from engine.types import SamplingParams
from rwkv_chat.paths import resource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger(__name__)
FOLDER = "prompts/sampling"
KNOWN = frozenset(each.name for each in fields(SamplingParams) if each.metadata)
LONGEST_TITLE = 60  # characters
LARGEST_FILE = 100_000  # bytes


@dataclass(eq=False)
class PresetInvalid(Exception):
    """A preset file that cannot be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A file's name, its title for people, and its parameters (what it leaves out has its default).

    Attributes:
        place: its place among those that are offered to everybody; 0 for the others.
        given: names of the parameters that stand in the file.
        own: a person's.
    """

    name: str
    title: str
    params: SamplingParams
    place: int = 0
    given: tuple[str, ...] = ()
    own: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """What it sets: how the next token is chosen, and of all else what it says itself."""
        names = (each.name for each in fields(SamplingParams) if each.metadata)
        return {name: getattr(self.params, name) for name in names if name not in LEFT or name in self.given}


LEFT = ("max_tokens", "seed")  # a preset changes them only if it says so


@functools.cache
def preset(name: str) -> Preset:
    """The preset called `name`. Raises: PresetInvalid (no such file, or an unknown or impossible value)."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise PresetInvalid(name, "name")
    return read(resource(FOLDER) / f"{name}.toml")


def presets() -> tuple[Preset, ...]:
    """All that come with the program, by name."""
    return tuple(preset(each.stem) for each in sorted(resource(FOLDER).glob("*.toml")))


def offered(folder: Path) -> tuple[Preset, ...]:
    """What a person may choose from: the few that everybody is offered, in order, then their own."""
    shipped = sorted((each for each in presets() if each.place), key=lambda each: each.place)
    return (*shipped, *own(folder))


def named(name: str, folder: Path) -> Preset | None:
    """The preset with this name or title (letters' case does not matter), a person's own first."""
    every = (*own(folder), *presets())
    wanted = name.strip().casefold()
    return next((each for each in every if wanted in (each.name.casefold(), each.title.casefold())), None)


def read(path: Path) -> Preset:
    """A preset file, checked. Raises: PresetInvalid."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("size")
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
    params = SamplingParams(**given)
    return Preset(
        str(values["name"]), str(values["title"]), params, int(values.get("place", 0)), tuple(sorted(given))
    )


# ------------------------------------------------------------------------------------------------ one's own


def own(folder: Path) -> tuple[Preset, ...]:
    """A person's own, by title; a file that cannot be read is left out, and told in the log."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        try:
            its = read(path)
        except PresetInvalid as error:
            log.warning("a preset cannot be used: %s: %s", path.name, error.reason)
        else:
            found.append(Preset(path.stem, its.title[:LONGEST_TITLE], its.params, 0, its.given, own=True))
    return tuple(sorted(found, key=lambda each: each.title.casefold()))


def save(folder: Path, title: str, values: Mapping[str, Any]) -> Preset:
    """Keep a preset of one's own; one with the same title is replaced.

    Raises:
        OSError: it cannot be written.
    """
    import tomlkit

    from rwkv_chat.paths import private_folder
    from rwkv_chat.settings_file import write_atomically

    title = " ".join(title.split())[:LONGEST_TITLE]
    kept = {name: value for name, value in values.items() if name in KNOWN and value is not None}
    same = (each.name for each in own(folder) if each.title.casefold() == title.casefold())
    name = next(same, None) or _free_name(folder, title)
    private_folder(folder)
    document = {"name": name, "title": title, "sampling": kept}
    write_atomically(folder / f"{name}.toml", tomlkit.dumps(document))
    return Preset(name, title, SamplingParams(**kept), 0, tuple(sorted(kept)), own=True)


def delete(folder: Path, preset: Preset) -> None:
    """Of one's own. Raises: OSError."""
    if preset.own:
        (folder / f"{preset.name}.toml").unlink(missing_ok=True)


def _free_name(folder: Path, title: str) -> str:
    """A file's name that says the title in plain letters."""
    stem = re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")[:40] or "preset"
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
    return next(each for each in numbered if not (folder / f"{each}.toml").exists())
