"""The settings file: read with tomllib, written with tomlkit so that comments and unknown keys survive.

A file that cannot be read is never written over: defaults are used, a warning says so, and the first change
moves the damaged file aside.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.durable import into_place, link_into_place
from rwkv_chat.paths import FILE_MODE
from rwkv_chat.setting_specs import SPECS, SettingRefused, nearest, spec_of
from rwkv_chat.settings import Settings, unfit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Wrong:
    """A line of the file that has no effect.

    Attributes:
        near: for a name that no setting has, the nearest one that there is, "" for none.
        allowed: for a value that cannot be, what can; "" where the name is unknown.
    """

    name: str
    near: str = ""
    allowed: str = ""


@dataclass(frozen=True, slots=True)
class SettingsWarning:
    """Why defaults are in force.

    Attributes:
        kind: "damaged" (the file is no TOML, or cannot be read) or "invalid" (some lines have no effect).
        wrong: those lines, for "invalid".
        reason: the parser's or the system's short message, for "damaged".
    """

    path: str
    kind: Literal["damaged", "invalid"]
    wrong: tuple[Wrong, ...] = ()
    reason: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The settings that fell back, and the names that are not known."""
        return tuple(each.name for each in self.wrong)


def check(values: Mapping[str, Any]) -> tuple[Settings, tuple[Wrong, ...]]:
    """The settings in `values`, and the lines that have no effect."""
    values = {**values, "keymap": _flat(values["keymap"])} if "keymap" in values else values
    known = {name: value for name, value in values.items() if name in SPECS and SPECS[name].fits(value)}
    settings = Settings(**known)
    wrong = [_wrong(name) for name in values if name not in known]
    wrong += _wrong_sampling(settings.sampling)
    return settings, tuple(sorted(wrong, key=lambda each: each.name))


def _flat(table: object, prefix: str = "") -> object:
    """A table whose names have dots: `chat.stop = "x"` without quotation marks is a table in a table."""
    if not isinstance(table, dict):
        return table
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")  # pyright: ignore[reportOperatorIssue]  a dict gives a dict
        else:
            found[f"{prefix}{name}"] = value
    return found


def _wrong(name: str) -> Wrong:
    if name in SPECS:
        return Wrong(name, allowed=SPECS[name].allowed)
    return Wrong(name, near=nearest(name, SPECS))


def _wrong_sampling(sampling: Mapping[str, Any]) -> list[Wrong]:
    if not sampling:
        return []
    from engine.types import SamplingParams

    about = {each.name: each.metadata for each in fields(SamplingParams)}
    unknown = [name for name in sampling if name not in about]
    wrong = [Wrong(f"sampling.{name}", near=nearest(name, about)) for name in unknown]
    return wrong + [Wrong(f"sampling.{name}", allowed=_range(about[name])) for name in unfit(sampling)]


def _range(about: Mapping[str, Any]) -> str:
    return f"{about['min']:g} … {about['max']:g}" if about else "[…]"


class SettingsFile:
    """The settings in force and the file they live in.

    Attributes:
        values: the settings in force.
        warning: what was wrong with the file, None if nothing was.
    """

    def __init__(self, path: Path, overrides: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._overrides = dict(overrides or {})
        self._lock = threading.Lock()
        self.values, self.warning = self._read()

    def change(self, **changes: Any) -> Settings:
        """Set some values and write them; everything else in the file stays as it is.

        Raises:
            SettingUnknown, SettingRefused: both are ValueErrors; nothing was changed.
            OSError: the file cannot be written; the values hold for this run all the same.
        """
        for name, value in changes.items():
            spec = spec_of(name)
            if not spec.fits(value):
                raise SettingRefused(name, repr(value), spec.allowed)
        with self._lock:
            self.values = replace(self.values, **changes)
            self._write(changes, ())
            return self.values

    def reset(self, *names: str) -> Settings:
        """Take settings out of the file, so that their defaults hold.

        Raises:
            SettingUnknown, OSError: see `change`.
        """
        defaults = {name: spec_of(name).default for name in names}
        with self._lock:
            self.values = replace(self.values, **defaults)
            if self.path.exists():
                self._write({}, names)
            return self.values

    def _read(self) -> tuple[Settings, SettingsWarning | None]:
        try:
            values = _parse(self.path)
        except FileNotFoundError:
            return check(self._overrides)[0], None
        except (OSError, ValueError, RecursionError) as error:
            damaged = SettingsWarning(str(self.path), "damaged", reason=_short(error))
            return check(self._overrides)[0], damaged
        settings, wrong = check({**values, **self._overrides})
        return settings, SettingsWarning(str(self.path), "invalid", wrong) if wrong else None

    def _write(self, changes: Mapping[str, Any], gone: tuple[str, ...]) -> None:
        import tomlkit

        document = tomlkit.document()
        if self._readable():
            document = tomlkit.parse(self.path.read_text(encoding="utf-8"))
        elif self.path.exists():
            self._put_aside()
        for name, value in changes.items():
            document[name] = value
        for name in gone:
            document.pop(name, None)
        write_atomically(self.path, tomlkit.dumps(document))

    def _readable(self) -> bool:
        """Whether the file as it stands now may be written over: it may have been damaged meanwhile."""
        try:
            _parse(self.path)
        except (OSError, ValueError, RecursionError):
            return False
        return True

    def _put_aside(self) -> None:
        """Under a name that nothing has, in one step: several windows may do it at once. The damaged file
        stays in its place, too, until the new one takes it.
        """
        for aside in _asides(self.path):
            try:
                link_into_place(self.path, aside)
            except FileExistsError:
                continue
            except OSError:  # a disk without hard links, or no file
                if os.path.lexists(aside):
                    continue
                self.path.replace(aside)
            return


def _asides(path: Path) -> Iterator[Path]:
    """Names for a damaged file, after the time; several may be put aside within a second."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    yield path.with_name(f"{path.name}.damaged-{stamp}")
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}.damaged-{stamp}-{number}")


def _parse(path: Path) -> dict[str, Any]:
    """Raises: OSError, ValueError, RecursionError (nested beyond reason)."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("not a file")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _short(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a crash leaves the old one or the new one. Mode 0600."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(FILE_MODE)
        into_place(Path(name), path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
