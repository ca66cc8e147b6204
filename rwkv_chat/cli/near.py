"""Groups of commands that say which one was probably meant."""

from __future__ import annotations

import click

from rwkv_chat.texts import say


class NearGroup(click.Group):
    """Adds the nearest name to "no such command"."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} {say('cli.near', name=near[0])}", ctx) from error
