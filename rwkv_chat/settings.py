"""Settings: declared once, read with tomllib, written with tomlkit so that comments and unknown keys survive.

Each field carries its choices or its range; its label and help may stand in the text catalogue under
`settings.<name>`. A file that cannot be read is never written over: defaults are used, a warning says so, and
the first change moves the damaged file aside.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.durable import into_place
from rwkv_chat.paths import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import SamplingParams


DTYPES = ("auto", "fp32", "bf16", "fp16", "int8", "int4")
THINK_MODES = ("none", "fast", "free", "bit", "lot")


def _setting(default: Any, **limits: Any) -> Any:
    """A field; `choices`, or `min`, `max` and `step`, say what it may be."""
    return field(default=default, metadata=limits)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose. Values are checked on reading; a wrong one falls back to its default.

    Attributes:
        theme: a Textual theme's name ("" for the app's own).
        threads: CPU threads of the engine (0 lets it choose).
        model: a weights file ("" for the built-in guide).
        snapshot_budget_gb: most GB of saved states (0 for the engine's default).
        snapshot_ram_gb: most GB of states kept in memory beside the disk (0 for the engine's default).
        think: the usual think mode ("" leaves it to the model's family).
        sampling: what differs from the model's own sampling, by field of `SamplingParams`.
        keymap: key names by binding id, e.g. {"chat.stop": "ctrl+x"}.
    """

    theme: str = ""
    language: str = _setting("en", choices=("en",))
    model: str = ""
    device: str = "auto"
    dtype: str = _setting("auto", choices=DTYPES)
    threads: int = _setting(0, min=0, max=1024, step=1)
    snapshot_budget_gb: float = _setting(0.0, min=0.0, max=1_000_000.0, step=1.0)
    snapshot_ram_gb: float = _setting(0.0, min=0.0, max=100_000.0, step=0.5)
    show_list: bool = True
    show_sampling: bool = False
    enter_sends: bool = True
    first_run_done: bool = False
    think: str = _setting("", choices=("", *THINK_MODES))
    sampling: Mapping[str, Any] = field(default_factory=dict)
    keymap: Mapping[str, str] = field(default_factory=dict)

    def sampling_over(self, base: SamplingParams) -> SamplingParams:
        """The model's own sampling with the person's differences; what does not fit is left out."""
        return sampling_with(base, self.sampling)


def sampling_with(base: SamplingParams, differences: Mapping[str, Any]) -> SamplingParams:
    """`base` with what differs from it; what does not fit is left out."""
    for name, value in differences.items():
        base = _fitted(base, name, value) or base
    return base


def _fitted(base: SamplingParams, name: str, value: object) -> SamplingParams | None:
    """`base` with one value changed, None if there is no such parameter or it cannot be that."""
    from engine.errors import InvalidParameter

    known = {each.name for each in fields(base) if each.metadata}
    try:
        return replace(base, **{name: value}) if name in known else None
    except (TypeError, InvalidParameter):
        return None


@dataclass(frozen=True, slots=True)
class SettingsWarning:
    """Why defaults are in force.

    Attributes:
        kind: "damaged" (the file is no TOML, or cannot be read) or "invalid" (some values are not allowed).
        names: the settings that fell back, for "invalid".
        reason: the parser's or the system's short message, for "damaged".
    """

    path: str
    kind: Literal["damaged", "invalid"]
    names: tuple[str, ...] = ()
    reason: str = ""


# ------------------------------------------------------------------------------------------------ checking

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "Mapping[str, Any]": (dict,),
    "Mapping[str, str]": (dict,),
}


def _allowed(name: str, value: object) -> bool:
    spec = next(each for each in fields(Settings) if each.name == name)
    kind = str(spec.type)
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        return False
    limits = spec.metadata
    if "choices" in limits and value not in limits["choices"]:
        return False
    if "min" in limits and not (isinstance(value, int | float) and limits["min"] <= value <= limits["max"]):
        return False
    return kind != "Mapping[str, str]" or all(isinstance(each, str) for each in value.values())  # pyright: ignore[reportAttributeAccessIssue]


def check(values: Mapping[str, Any]) -> tuple[Settings, tuple[str, ...]]:
    """The settings in `values`, and the names of those that were not allowed. Unknown names are ignored."""
    known = {each.name for each in fields(Settings)} & values.keys()
    wrong = tuple(sorted(name for name in known if not _allowed(name, values[name])))
    settings = Settings(**{name: values[name] for name in known if name not in wrong})
    return settings, wrong + tuple(f"sampling.{name}" for name in _unfit(settings.sampling))


def fitting_sampling(values: object) -> dict[str, Any]:
    """Of a file's differences to a model's sampling those that are allowed. Raises: ValueError."""
    from engine.types import SamplingParams

    if not isinstance(values, dict):
        raise ValueError("sampling")
    known = {each.name for each in fields(SamplingParams) if each.metadata}
    return {name: each for name, each in values.items() if name in known and not _unfit({name: each})}


def _unfit(sampling: Mapping[str, Any]) -> list[str]:
    """Sampling values that `sampling_over` leaves out, whatever the model."""
    if not sampling:  # as for most people: the first frame needs no parameters
        return []
    from engine.types import SamplingParams

    base = SamplingParams()
    known = {each.name for each in fields(base)}
    return [name for name, value in sampling.items() if name in known and _fitted(base, name, value) is None]


# ------------------------------------------------------------------------------------------------ the file


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
            ValueError: a value is not allowed, or no such setting.
            OSError: the file cannot be written; the values hold for this run all the same.
        """
        for name, value in changes.items():
            if name not in {each.name for each in fields(Settings)} or not _allowed(name, value):
                raise ValueError(f"{name} = {value!r}")
        with self._lock:
            self.values = replace(self.values, **changes)
            self._write(changes)
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

    def _write(self, changes: Mapping[str, Any]) -> None:
        import tomlkit

        document = tomlkit.document()
        if self._readable():
            document = tomlkit.parse(self.path.read_text(encoding="utf-8"))
        elif self.path.exists():
            self._put_aside()
        for name, value in changes.items():
            document[name] = value
        write_atomically(self.path, tomlkit.dumps(document))

    def _readable(self) -> bool:
        """Whether the file as it stands now may be written over: it may have been damaged meanwhile."""
        try:
            _parse(self.path)
        except (OSError, ValueError, RecursionError):
            return False
        return True

    def _put_aside(self) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self.path.replace(self.path.with_name(f"{self.path.name}.damaged-{stamp}"))


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
