"""`rwkv-chat doctor`: is everything in order?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.cli.options import model_option
from rwkv_chat.cli.output import result
from rwkv_chat.diagnostics import report
from rwkv_chat.doctor import Finding, examine
from rwkv_chat.explain import FAILURE, OK
from rwkv_chat.paths import Paths
from rwkv_chat.plain_text import clean
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    Group = tuple[str, tuple[Finding, ...]]


@click.command("doctor", help=say("doctor.help"))
@click.option("--json", "as_json", is_flag=True, help=say("doctor.json"))
@click.option("--report", "as_report", is_flag=True, help=say("doctor.report"))
@model_option
@click.pass_context
def command(context: click.Context, as_json: bool, as_report: bool, model: Path | None) -> int:
    """The exit code: 1 if there is a problem."""
    if as_report:
        result(report(Paths.find()))
        return OK
    groups = examine(Paths.find(), model or context.find_root().params.get("model"))
    problems = _print_json(groups) if as_json else _print(groups)
    return FAILURE if problems else OK


def _print(groups: Iterable[Group]) -> int:
    """Each group as soon as it is known; how many problems there were."""
    problems = 0
    for group, findings in groups:
        result(say(f"doctor.{group}.title"))
        for each in findings:
            result(
                say("doctor.row", mark=say(f"doctor.mark.{each.status}"), name=each.name, value=_line(each))
            )
        for text in [each.advice for each in findings if each.advice] or [say(f"doctor.{group}.fine")]:
            result(say("doctor.advice_row", text=clean(text)))
        problems += sum(each.status == "problem" for each in findings)
    result(say("doctor.problems", number=problems) if problems else say("doctor.fine"))
    return problems


def _line(finding: Finding) -> str:
    return " ".join(clean(finding.value).split())


def _print_json(groups: Iterable[Group]) -> int:
    checks: list[dict[str, Any]] = [
        {"group": group, **asdict(each)} for group, findings in groups for each in findings
    ]
    problems = sum(each["status"] == "problem" for each in checks)
    result(json.dumps({"ok": not problems, "checks": checks}, indent=2))
    return problems
