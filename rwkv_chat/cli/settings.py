"""`rwkv-chat settings`: the settings file from the command line."""

from __future__ import annotations

import json
from typing import Any

import click

from rwkv_chat.cli.near import NearGroup
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import OK, settings_sentence
from rwkv_chat.paths import Paths
from rwkv_chat.plain_text import title
from rwkv_chat.setting_specs import EMPTY, SPECS, Spec, spec_of
from rwkv_chat.settings_file import SettingsFile
from rwkv_chat.texts import say

# Names of the commands below; short helps stand in the catalogue under `settings.command.<name>`.
SETTINGS = ("list", "get", "set", "reset", "path")
SHOWN = {name: each for name, each in SPECS.items() if each.group}
LONGEST = 300


@click.group("settings", cls=NearGroup, help=say("settings.command.help"))
def command() -> None:
    """What each of them returns is the exit code."""


def _file() -> SettingsFile:
    """The file; what is wrong with it is told."""
    file = SettingsFile(Paths.find().make().settings_file)
    if file.warning:
        note(settings_sentence(file.warning))
    return file


@command.command("list", help=say("settings.command.list"))
@click.option("--json", "as_json", is_flag=True, help=say("settings.command.json"))
def _list(as_json: bool) -> int:
    values = _file().values
    if as_json:
        rows = [_record(each, getattr(values, name)) for name, each in SHOWN.items()]
        result(json.dumps(rows, indent=2, ensure_ascii=False))
        return OK
    for name, each in SHOWN.items():
        value = getattr(values, name)
        mark = "*" if value != each.default else " "
        words = title(each.written(value), LONGEST) or EMPTY
        result(f"{mark} {name:<20} {words:<12} {each.allowed}")
    return OK


def _record(spec: Spec, value: Any) -> dict[str, Any]:
    return {"name": spec.name, "value": value, "default": spec.default, "allowed": spec.allowed}


@command.command("get", help=say("settings.command.get"))
@click.argument("name")
def _get(name: str) -> int:
    spec = spec_of(name)
    result(spec.written(getattr(_file().values, name)))
    return OK


@command.command("set", help=say("settings.command.set"))
@click.argument("name")
@click.argument("value")
def _set(name: str, value: str) -> int:
    spec = spec_of(name)
    _file().change(**{name: spec.read(value)})
    return OK


@command.command("reset", help=say("settings.command.reset"))
@click.argument("name")
def _reset(name: str) -> int:
    spec_of(name)
    _file().reset(name)
    return OK


@command.command("path", help=say("settings.command.path"))
def _path() -> int:
    result(str(Paths.find().settings_file))
    return OK
