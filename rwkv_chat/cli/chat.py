"""`rwkv-chat chat`: line mode with --plain, else the full-screen program."""

from __future__ import annotations

from typing import Any

import click

from rwkv_chat.cli.manner import Manner, manner_options
from rwkv_chat.cli.options import dtype_option, given, model_of, model_option, sampling_options
from rwkv_chat.texts import say


@click.command("chat", help=say("cli.chat.help"))
@click.option("--plain", is_flag=True, help=say("cli.chat.plain"))
@click.option("--private", is_flag=True, help=say("cli.option.private"))
@manner_options
@model_option
@dtype_option
@sampling_options
@click.pass_context
def command(context: click.Context, plain: bool, private: bool, **options: Any) -> int:
    """The exit code."""
    model = model_of(context, options["model"])
    private = private or context.find_root().params.get("private", False)
    if plain:
        from rwkv_chat.cli.line_mode import run

        return run(model, options, private=private)
    if given(options) or Manner.of(options) != Manner():
        raise click.UsageError(say("cli.chat.needs_plain"))
    from rwkv_chat.cli.open_tui import open_tui

    return open_tui(model, options["dtype"], private=private)
