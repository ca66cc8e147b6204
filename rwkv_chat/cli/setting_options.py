"""Settings as options, for one run: made from the one declaration, named and helped by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")

# Before any command: those that one may want to be otherwise for a while, and what is typed for each. Told
# here and not by the declaration, which is imported when a value is read: help has no time for it.
FOR_A_RUN = {
    "theme": "NAME",
    "language": "NAME",
    "reduced_motion": "",
    "mouse": "",
    "device": "NAME",
    "dtype": "NAME",
    "threads": "NUMBER",
}


def setting_options(command: Command) -> Command:
    """An option for each of `FOR_A_RUN`; what is not given is None."""
    for name in reversed(FOR_A_RUN):
        command = setting_option(name, FOR_A_RUN[name])(command)
    return command


def setting_option(name: str, metavar: str) -> Callable[[Command], Command]:
    """`--name VALUE`, or `--name/--no-name` for a switch, which has no metavar."""
    flag, words = name.replace("_", "-"), say(f"settings.{name}.help")
    if not metavar:
        return click.option(f"--{flag}/--no-{flag}", name, default=None, help=words)
    return click.option(f"--{flag}", name, metavar=metavar, callback=_read, help=words)


def _read(_: click.Context, option: click.Parameter, text: str | None) -> Any:
    """The value that was typed, as the settings file would have it."""
    if text is None:
        return None
    from rwkv_chat.setting_specs import SPECS, SettingRefused

    try:
        return SPECS[option.name or ""].read(text)
    except SettingRefused as error:
        raise click.BadParameter(say("cli.allowed", allowed=error.allowed)) from error


def overrides() -> dict[str, Any]:
    """The settings that were given before the command that runs."""
    context = click.get_current_context(silent=True)
    if context is None:
        return {}
    found = {name: context.find_root().params.get(name) for name in FOR_A_RUN}
    return {name: value for name, value in found.items() if value is not None}
