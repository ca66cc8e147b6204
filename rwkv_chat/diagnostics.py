"""What helps to find a fault, as JSON that may be shown to others: no chat text, no file names, no paths.

What is told is chosen one by one; nothing that a person has written or named is among it. Of the log there
are times, levels, parts of the program, lines of its own code, and the names of errors: never a message.
"""

from __future__ import annotations

import builtins
import json
import platform
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rwkv_chat import __version__
from rwkv_chat.logs import last_lines
from rwkv_chat.paths import expanded, terminal_names
from rwkv_chat.room import free_bytes
from rwkv_chat.setting_specs import SPECS
from rwkv_chat.settings import Settings
from rwkv_chat.settings_file import SettingsFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rwkv_chat.paths import Paths

PACKAGES = ("torch", "triton", "textual", "tokenizers", "pyrwkv-tokenizer", "safetensors", "numpy", "gguf")
MOST_LINES = 60
_RECORD = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ (?:rwkv_chat|engine)[\w.]*): ")
_FRAME = re.compile(r'\s+File ".*?((?:rwkv_chat|engine)(?:/[\w]+)+\.py)", line (\d+), in ([\w<>]+)$')
_ERRORS = re.compile(r"[A-Za-z_]\w*(?: from [A-Za-z_]\w*)*$")


def report(paths: Paths) -> str:
    """JSON, indented. Never raises: a part that fails says with which error."""
    parts = {name: _safely(part, paths) for name, part in PARTS.items()}
    return json.dumps(parts, indent=1, ensure_ascii=False)


def _safely(part: Callable[[Paths], Any], paths: Paths) -> Any:
    try:
        return part(paths)
    except Exception as error:  # its message may name a file
        return {"error": type(error).__name__}


def _versions(_: Paths) -> dict[str, str]:
    found = {"rwkv-chat": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "-"
    return found


def _machine(paths: Paths) -> dict[str, Any]:
    from engine import nvidia
    from engine.devices import compute_threads, physical_cores
    from engine.memory import available_bytes, total_bytes

    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": physical_cores(),
        "threads": compute_threads(),
        "memory": total_bytes(),
        "memory_free": available_bytes(),
        "disk_free": free_bytes(paths.data),
        "cards": list(nvidia.machine().cards),
    }


def _terminal(_: Paths) -> dict[str, Any]:
    columns, lines = shutil.get_terminal_size()
    encoding = getattr(sys.stdout, "encoding", None)
    return {"size": f"{columns}x{lines}", "encoding": encoding, **terminal_names()}


def _settings(paths: Paths) -> dict[str, Any]:
    """What differs from the defaults; of free texts, only that they do."""
    file = SettingsFile(paths.settings_file)
    found: dict[str, Any] = {"file": file.warning.kind if file.warning else "ok"}
    for name, spec in SPECS.items():
        value = getattr(file.values, name)
        if value == getattr(Settings(), name):
            continue
        free = spec.kind == "table" or (spec.kind == "text" and not spec.pattern)
        found[name] = "changed" if free else value
    return found


def _library(paths: Paths) -> dict[str, Any]:
    from rwkv_chat.library.health import look

    if not paths.database.exists():
        return {}
    health = look(paths.database)
    return {
        "schema": health.schema,
        "bytes": health.nbytes,
        "conversations": health.threads,
        "messages": health.messages,
        "faults": len(health.faults),
    }


def _model(paths: Paths) -> dict[str, Any]:
    """The shape of the model that the settings name, not its name."""
    from rwkv_chat.session.shelf_headers import measure, read_header

    chosen = SettingsFile(paths.settings_file).values.model
    if not chosen:
        return {"built-in": True}
    path = expanded(Path(chosen))
    header = read_header(path)
    spec = header.spec
    shape = f"{spec.arch} {spec.n_layer}x{spec.n_embd}"
    return {"format": header.format, "shape": shape, "bytes": measure(path)[0]}


def _log(paths: Paths) -> list[str]:
    return list(reduced(last_lines(paths.log_file)))[-MOST_LINES:]


def reduced(lines: tuple[str, ...]) -> Iterator[str]:
    """Of a log, what names nothing of the person's."""
    for line in lines:
        if record := _RECORD.match(line):
            yield record[1]
        elif frame := _FRAME.match(line.replace("\\", "/")):
            yield f"  {frame[1]}:{frame[2]} {frame[3]}"
        elif _ERRORS.fullmatch(line) and all(map(_is_error, line.split(" from "))):
            yield f"  {line}"


def _is_error(name: str) -> bool:
    """Whether it is the name of an error of Python's or of ours: any other word may be the person's."""
    from engine import errors
    from rwkv_chat.library import errors as of_library
    from rwkv_chat.session import errors as of_session

    kinds = (getattr(module, name, None) for module in (builtins, errors, of_library, of_session))
    return any(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


PARTS: dict[str, Callable[[Paths], Any]] = {
    "versions": _versions,
    "machine": _machine,
    "terminal": _terminal,
    "settings": _settings,
    "library": _library,
    "model": _model,
    "log": _log,
}
