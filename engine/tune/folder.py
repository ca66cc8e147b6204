"""A run's folder: where its parts lie, its log, who is at it. No torch in here.

config.toml          what was asked for (`TuneConfig`), written by whoever starts the run
train.safetensors    rows to learn from (`rows.py`)
valid.safetensors    rows to be measured on; may be missing
probes.json          fixed prompts (`Probe`); may be missing
events.jsonl         what the run tells, one line each
checkpoints/         last.safetensors, best.safetensors
result/              the state, adapter or model
owner.json           the process that is at it; whether it lives says `owner`
stop                 a file that asks it to end after the step, with a checkpoint
"""

from __future__ import annotations

import json
import os
import time
import tomllib
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import DiskFailed, DownloadBusy, InvalidRequest, ModelNotFound, TuneBusy
from engine.types import Probe
from engine.types.tuning import tune_config
from engine.weights.partial import is_held, lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.types import TuneConfig

LARGEST_TEXT = 4 << 20  # of config.toml and probes.json
MOST_PROBES, LONGEST_PROBE = 64, 65536
_TRIES, _BETWEEN = 20, 0.1  # somebody who only looks whether the run lives holds the lock for a moment


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths of one run."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def train(self) -> Path:
        return self.path / "train.safetensors"

    @property
    def valid(self) -> Path:
        return self.path / "valid.safetensors"

    @property
    def probes(self) -> Path:
        return self.path / "probes.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def result(self) -> Path:
        return self.path / "result"

    @property
    def owner(self) -> Path:
        return self.path / "owner.json"

    @property
    def stop(self) -> Path:
        return self.path / "stop"


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that is at a run: its number, and when it began (seconds since 1970)."""

    pid: int
    since: float


def _text(path: Path) -> str:
    """Raises ModelNotFound, InvalidRequest."""
    try:
        if not path.is_file():
            raise ModelNotFound(str(path))
        if path.stat().st_size > LARGEST_TEXT:
            raise InvalidRequest(f"{path.name} is larger than {LARGEST_TEXT} bytes")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path.name} cannot be read") from error


def read_config(folder: Folder) -> TuneConfig:
    """Checked field by field.

    Raises:
        ModelNotFound: there is none.  InvalidRequest, InvalidParameter.
    """
    try:
        table = tomllib.loads(_text(folder.config))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidRequest("config.toml is no TOML") from error
    return tune_config(table)


# ------------------------------------------------------------------------------------------------- probes


def write_probes(folder: Folder, probes: tuple[Probe, ...]) -> None:
    folder.probes.write_text(json.dumps([asdict(each) for each in probes]) + "\n", encoding="utf-8")


def read_probes(folder: Folder, vocab_size: int) -> tuple[Probe, ...]:
    """() without the file.  Raises InvalidRequest: it is not what `write_probes` wrote."""
    if not folder.probes.exists():
        return ()
    try:
        table = json.loads(_text(folder.probes))
        found = tuple(_probe(each, vocab_size) for each in table[:MOST_PROBES])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidRequest("probes.json is not a list of prompts") from error
    return found


def _probe(entry: Any, vocab_size: int) -> Probe:
    texts = tuple(_ids(each, vocab_size) for each in entry["texts"])
    return Probe(_ids(entry["prompt"], vocab_size), _ids(entry["stops"], vocab_size), texts)


def _ids(found: Any, vocab_size: int) -> tuple[int, ...]:
    """Raises ValueError."""
    right = isinstance(found, list) and len(found) <= LONGEST_PROBE
    if not right or not all(type(each) is int and 0 <= each < vocab_size for each in found):
        raise ValueError("ids")
    return tuple(found)


# -------------------------------------------------------------------------------- who is at it


def _lock(folder: Folder) -> Path:
    return folder.path / "owner.lock"


@contextmanager
def owned(folder: Folder) -> Iterator[None]:
    """Nobody else is at the run until the end; the system ends it too if this process dies.

    Raises:
        TuneBusy: another process is at it.  DiskFailed.
    """
    for left in reversed(range(_TRIES)):
        try:
            with lock(_lock(folder), folder.path):
                _tell_owner(folder)
                try:
                    yield
                finally:
                    folder.owner.unlink(missing_ok=True)
            return
        except DownloadBusy as error:
            if not left:
                raise TuneBusy(str(folder.path)) from error
            time.sleep(_BETWEEN)
        except OSError as error:
            raise DiskFailed(str(folder.path), error.strerror or str(error)) from error


def _tell_owner(folder: Folder) -> None:
    text = json.dumps(asdict(Owner(os.getpid(), time.time())))
    folder.owner.write_text(text + "\n", encoding="utf-8")


def owner(path: Path) -> Owner | None:
    """The living process that is at the run of this folder, or None."""
    folder = Folder(path)
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(folder.owner.read_text("utf-8"))
        named = Owner(int(found["pid"]), float(found["since"]))
        return named if is_held(_lock(folder)) else None
    return None


def ask_to_stop(path: Path) -> None:
    """The run ends after its step, with a checkpoint.  Raises DiskFailed."""
    try:
        Folder(path).stop.touch()
    except OSError as error:
        raise DiskFailed(str(path), error.strerror or str(error)) from error


__all__ = [
    "Folder",
    "Owner",
    "ask_to_stop",
    "owned",
    "owner",
    "read_config",
    "read_probes",
    "write_probes",
]
