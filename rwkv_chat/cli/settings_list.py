"""`rwkv-chat settings list`: every setting, what it is and what it can be."""

from __future__ import annotations

import json
from typing import Any

import click

from rwkv_chat.cli.output import result
from rwkv_chat.cli.settings_shared import settings_file
from rwkv_chat.cli.table import padded
from rwkv_chat.explain import OK
from rwkv_chat.plain_text import title
from rwkv_chat.setting_specs import EMPTY, SPECS, Spec
from rwkv_chat.texts import say

LONGEST = 300


@click.command("list", help=say("settings.command.list"))
@click.option("--json", "as_json", is_flag=True, help=say("settings.command.json"))
def command(as_json: bool) -> int:
    """The exit code."""
    values = settings_file().values
    shown = [(each, getattr(values, name)) for name, each in SPECS.items() if each.group]
    if as_json:
        result(json.dumps([_record(*each) for each in shown], indent=2, ensure_ascii=False))
        return OK
    for spec, value in shown:
        mark = "*" if value != spec.default else " "
        words = title(spec.written(value), LONGEST) or EMPTY
        result(f"{mark} {spec.name:<20} {padded(words, 12)} {spec.allowed}")
    return OK


def _record(spec: Spec, value: Any) -> dict[str, Any]:
    return {"name": spec.name, "value": value, "default": spec.default, "allowed": spec.allowed}
