"""The command line: a group that imports a command's module only when it is called, and the last resort for
errors. Importing this loads click and the text catalogue, nothing heavier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click import formatting

from rwkv_chat import __version__
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.cli.ending import ended
from rwkv_chat.cli.groups import TableGroup
from rwkv_chat.cli.output import abandon_stdout, note, result
from rwkv_chat.cli.setting_options import setting_options
from rwkv_chat.paths import terminal_columns
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME = "rwkv-chat"
HELP_NAMES = ["-h", "--help"]
WIDEST, NARROWEST = 100, 50  # columns of a help


class Narrow(click.Context):
    """Asks for the terminal's width without the imports of the standard library's way to it."""

    def make_formatter(self) -> click.HelpFormatter:
        if self.terminal_width is None and formatting.FORCED_WIDTH is None:
            most = self.max_content_width or WIDEST
            self.terminal_width = max(min(terminal_columns(), most) - 2, NARROWEST)
        return super().make_formatter()


class Commands(TableGroup):
    """The program's own commands."""

    context_class = Narrow

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader left (`| head`): no failure of ours
            abandon_stdout()
            return 0


def _path(_context: click.Context, _option: click.Parameter, value: str | None) -> Path | None:
    """Help is told without pathlib."""
    if value is None:
        return None
    from pathlib import Path

    return Path(value)


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        result(say("cli.version", version=__version__))
        context.exit()


@click.group(
    NAME,
    cls=Commands,
    table={row.name: row.module for row in COMMANDS},
    short=lambda name: say(f"commands.{name}.short"),
    invoke_without_command=True,
    context_settings={"help_option_names": HELP_NAMES, "max_content_width": WIDEST},
    help=say("cli.help"),
    epilog=say("cli.epilog"),
)
@click.option("--model", callback=_path, metavar="FILE|NAME", help=say("cli.option.model"))
@click.option("--private", is_flag=True, help=say("cli.option.private"))
@setting_options
@click.option("--debug", is_flag=True, help=say("cli.option.debug"))
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help=say("cli.option.version"),
)
@click.pass_context
def group(context: click.Context, model: Path | None, private: bool, debug: bool, **settings: Any) -> int:  # noqa: ARG001  main reads debug
    """Without a command, open the terminal interface."""
    if context.invoked_subcommand is not None:
        return 0
    from rwkv_chat.cli.open_tui import open_tui

    return open_tui(model, private=private)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code. Never raises, never shows a traceback unless --debug is given."""
    return ended(lambda: _run(arguments), debug="--debug" in arguments)


def _run(arguments: Sequence[str]) -> object:
    try:
        return group.main(list(arguments), NAME, standalone_mode=False)
    except click.ClickException as error:
        return _misused(error)
    except click.Abort as error:
        raise KeyboardInterrupt from error


def _misused(error: click.ClickException) -> int:
    """How the command is used, and what was wrong with this line."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        note(error.ctx.get_usage())
    note(say("cli.error", text=error.format_message()))
    return error.exit_code
