"""What the app keeps in a run's folder beside what the engine reads there, and how a run stands.

about.json       name, preset, model, the command line, which conversations it read (`About`)
moments.json     held-out moments, and what was chosen of them
output.log       what its process wrote

A folder may have been damaged, or come from anywhere: everything read here is bounded and checked, and what
cannot be read is said in one sentence.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.durable import into_place
from engine.types import config_table
from rwkv_chat.session.errors import TuneDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.types import TuneConfig

FORMAT, VERSION = "rwkv-chat tune", 1
LARGEST_ABOUT = 4 << 20
LONGEST_TEXT, MOST_THREADS = 4_000, 100_000
ABOUT, MOMENTS, OUTPUT, TAKEN = "about.json", "moments.json", "output.log", "running.lock"
_ID = re.compile(r"[0-9a-z][0-9a-z-]{0,63}")


@dataclass(frozen=True, slots=True)
class About:
    """What a run is to its person. Fields as of `tune_types.Tune`; `coding`: how its rows were encoded;
    `tokenizer`: its file, "" for the World vocabulary; `template`: in which the rows are; `needed`: bytes of
    the device, as estimated, 0 where nobody said.
    """

    name: str
    preset: str = ""
    created: float = 0.0
    model: str = ""
    model_name: str = ""
    model_id: str = ""
    coding: str = ""
    tokenizer: str = ""
    template: str = ""
    command: str = ""
    practice: bool = False
    threads: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    kept: str = ""
    device: str = "cpu"
    conversations: int = 0
    turns: int = 0
    tokens: int = 0
    needed: int = 0


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def folders(root: Path) -> Iterator[Path]:
    """Every run's, in no order; links and odd names are none of ours."""
    with suppress(OSError), os.scandir(root) as found:
        yield from (
            Path(each.path) for each in found if is_id(each.name) and each.is_dir(follow_symlinks=False)
        )


def read_about(folder: Path) -> About:
    """Raises: TuneDamaged."""
    table = read_json(folder / ABOUT)
    try:
        if table["format"] != FORMAT or table["version"] != VERSION:
            raise ValueError("format")
        known = (each for each in fields(About) if each.name in table)  # an older run lacks what came later
        told = {each.name: _value(each.name, table[each.name], each.default) for each in known}
        return About(**told)
    except (KeyError, TypeError, ValueError) as error:
        raise TuneDamaged(str(folder), ABOUT) from error


def write_about(folder: Path, about: About) -> None:
    """Raises: OSError."""
    write_json(folder / ABOUT, {"format": FORMAT, "version": VERSION, **asdict(about)})


def toml_of(config: TuneConfig) -> str:
    """The `config.toml` that the engine reads."""
    import tomlkit

    return tomlkit.dumps(config_table(config))


def read_json(path: Path) -> Any:
    """Raises: TuneDamaged."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_ABOUT:
            raise TuneDamaged(str(path.parent), path.name)
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TuneDamaged(str(path.parent), path.name) from error


def write_json(path: Path, value: object) -> None:
    """Whole or not at all. Raises: OSError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")
        into_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def _value(name: str, value: Any, default: Any) -> Any:
    """Raises: ValueError."""
    if name in ("threads", "trees"):
        right = isinstance(value, list) and len(value) <= MOST_THREADS
        if not right or not all(isinstance(each, str) and len(each) <= 64 for each in value):
            raise ValueError(name)
        return tuple(value)
    if isinstance(default, bool) or isinstance(value, bool):
        if not (isinstance(default, bool) and isinstance(value, bool)):
            raise ValueError(name)
        return value
    if isinstance(default, int | float):
        if not isinstance(value, int | float) or not abs(value) < 1e18:
            raise ValueError(name)
        return type(default)(value)
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError(name)
    return value


def result_of(folder: Path, named: str) -> Path:
    """Where a result is: inside the folder, whatever its log says. Raises: TuneDamaged."""
    path = (folder / named).resolve()
    if not named or not path.is_relative_to((folder / "result").resolve()) or not path.exists():
        raise TuneDamaged(str(folder), "result")
    return path
