"""The command line: a group that imports a command's module only when it is called, and the last resort for
errors. Importing this loads click and the text catalogue, nothing heavier.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat import __version__
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.cli.groups import TableGroup
from rwkv_chat.cli.output import abandon_stdout, note, prepare_streams, result
from rwkv_chat.cli.setting_options import setting_options
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "rwkv-chat"
HELP_NAMES = ["-h", "--help"]


class Commands(TableGroup):
    """The program's own commands."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader left (`| head`): no failure of ours
            abandon_stdout()
            return 0


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
    context_settings={"help_option_names": HELP_NAMES, "max_content_width": 100},
    help=say("cli.help"),
    epilog=say("cli.epilog"),
)
@click.option("--model", type=click.Path(path_type=Path), metavar="FILE|NAME", help=say("cli.option.model"))
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
    prepare_streams()
    try:
        code = group.main(list(arguments), NAME, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _misused(error)
    except BrokenPipeError:
        abandon_stdout()
        return 0
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    except Exception as error:
        return _explained(error, debug="--debug" in arguments)
    return code if isinstance(code, int) else 0


def _misused(error: click.ClickException) -> int:
    """How the command is used, and what was wrong with this line."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        note(error.ctx.get_usage())
    note(say("cli.error", text=error.format_message()))
    return error.exit_code


def _interrupted() -> int:
    from rwkv_chat.explain import INTERRUPTED

    note("")
    return INTERRUPTED


def _explained(error: Exception, *, debug: bool) -> int:
    from rwkv_chat.cli.last_resort import tell

    return tell(error, debug=debug)
