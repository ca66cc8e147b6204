"""`rwkv-chat bench`: what a model does on this machine, in tables."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.bench import TABLES, Plan, run
from rwkv_chat.cli.bench_tables import show
from rwkv_chat.cli.numbers import Whole
from rwkv_chat.cli.options import FILE, MODEL_METAVAR, dtype_option, model_of
from rwkv_chat.cli.output import result
from rwkv_chat.paths import Paths
from rwkv_chat.session.cards import builtin
from rwkv_chat.settings_file import SettingsFile
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.bench import Row

FULL_SECONDS, FOR_EVER = 5.0, float("inf")


@click.command("bench", help=say("bench.help"))
@click.argument("model", required=False, type=FILE, metavar=f"[{MODEL_METAVAR}]")
@dtype_option
@click.option("--device", default="auto", help=say("bench.device"))
@click.option("--threads", type=Whole(1, 1024), help=say("bench.threads"))
@click.option("--table", "tables", type=click.Choice(TABLES), multiple=True, help=say("bench.table"))
@click.option("--full", is_flag=True, help=say("bench.full"))
@click.option("--json", "as_json", is_flag=True, help=say("bench.json"))
@click.pass_context
def command(
    context: click.Context,
    model: Path | None,
    dtype: str | None,
    device: str,
    threads: int | None,
    tables: tuple[str, ...],
    full: bool,
    as_json: bool,
) -> int:
    """Raises: EngineError: the model cannot be found or loaded."""
    path = model_of(context, model) or _in_use()
    plan = Plan(str(path), device, dtype or "auto", threads, tables)
    if full:
        plan = replace(plan, seconds=FULL_SECONDS, feeding_seconds=FOR_EVER)
    rows = run(plan)
    if as_json:
        _print_json(rows)
    else:
        show(rows)
    return 0


def _in_use() -> Path:
    """The weights of the settings."""
    chosen = SettingsFile(Paths.find().settings_file).values.model
    return Path(chosen) if chosen else builtin().path


def _print_json(rows: Iterable[Row]) -> None:
    for row in rows:
        result(json.dumps({"row": type(row).__name__, **asdict(row)}, ensure_ascii=False))
