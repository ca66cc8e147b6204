"""Where things are kept: folders, their room and their permissions, saved states, settings, log."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from rwkv_chat.doctor.finding import Finding
from rwkv_chat.explain import settings_sentence, size
from rwkv_chat.room import existing
from rwkv_chat.settings_file import SettingsFile
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rwkv_chat.paths import Paths
    from rwkv_chat.settings import Settings

LITTLE = 1_000_000_000
GB = 1_000_000_000


def check(paths: Paths, _: Path | None) -> Iterator[Finding]:
    file = SettingsFile(paths.settings_file)
    yield _folder("data", paths.data)
    yield _room(paths.data)
    yield _states(paths.states, file.values)
    yield _settings(file)
    yield Finding.of("log", paths.log_file)


def _folder(name: str, path: Path) -> Finding:
    if not os.access(existing(path), os.W_OK | os.X_OK):
        return Finding.of(name, path, "problem", "not_writable")
    if not path.exists():
        return Finding.of(name, say("doctor.value.not_yet", path=path))
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Finding.of(name, path, "note", "open_folder", path=path)
    return Finding.of(name, path)


def _room(path: Path) -> Finding:
    usage = shutil.disk_usage(existing(path))
    value = say("doctor.value.of", part=size(usage.free), whole=size(usage.total))
    return Finding.unless(usage.free >= LITTLE, "room", value, "little_room")


def _states(folder: Path, settings: Settings) -> Finding:
    from engine.store.statestore import default_budget

    if not folder.is_dir():
        return Finding.of("states", say("doctor.value.none_yet"))
    sizes = [each.stat().st_size for each in folder.iterdir() if each.is_file()]
    budget = int(settings.snapshot_budget_gb * GB) or default_budget(folder)
    return Finding.of(
        "states", say("doctor.value.states", number=len(sizes), used=size(sum(sizes)), budget=size(budget))
    )


def _settings(file: SettingsFile) -> Finding:
    warning = file.warning
    if warning is None:
        value = file.path if file.path.exists() else say("doctor.value.not_yet", path=file.path)
        return Finding.of("settings", value)
    if warning.kind == "damaged":
        return Finding.of("settings", warning.path, "note", "settings_damaged", reason=warning.reason)
    return Finding.of("settings", warning.path, "note", "settings_invalid", lines=settings_sentence(warning))
