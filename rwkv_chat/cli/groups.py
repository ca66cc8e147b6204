"""Groups of commands: each command's module is imported only when it is called, help imports none of them,
and a name that there is not is answered with the one that was probably meant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class TableGroup(click.Group):
    """The rows of a table.

    Args:
        table: name → module, whose click command is its attribute `command`.
        short: a command's short help, by its name.
    """

    def __init__(
        self, *args: Any, table: Mapping[str, str], short: Callable[[str], str], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._table, self._short = table, short

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  the base's signature
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  the base's signature
        module = self._table.get(cmd_name)
        return importlib.import_module(module).command if module else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  the base's signature
        with formatter.section(say("cli.commands")):
            formatter.write_dl([(name, self._short(name)) for name in self._table])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            from rwkv_chat.phrases import sentences

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            if not near:
                raise
            raise click.UsageError(sentences(error.message, say("cli.near", name=near[0])), ctx) from error
