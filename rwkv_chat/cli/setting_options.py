"""Settings as options, for one run: made from the one declaration, named and helped by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from rwkv_chat.setting_specs import SPECS, SettingRefused, Spec
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")

# Before any command: those that one may want to be otherwise for a while.
FOR_A_RUN = ("theme", "language", "reduced_motion", "mouse", "device", "dtype", "threads")


def setting_options(command: Command) -> Command:
    """An option for each of `FOR_A_RUN`; what is not given is None."""
    for name in reversed(FOR_A_RUN):
        command = setting_option(SPECS[name])(command)
    return command


def setting_option(spec: Spec) -> Callable[[Command], Command]:
    """`--name VALUE`, or `--name/--no-name` for a switch."""
    flag, words = spec.name.replace("_", "-"), say(f"settings.{spec.name}.help")
    if spec.kind == "switch":
        return click.option(f"--{flag}/--no-{flag}", spec.name, default=None, help=words)
    metavar = "NAME" if spec.kind in ("choice", "text") else "NUMBER"
    return click.option(f"--{flag}", spec.name, metavar=metavar, callback=_read, help=words)


def _read(_: click.Context, option: click.Parameter, text: str | None) -> Any:
    """The value that was typed, as the settings file would have it."""
    if text is None:
        return None
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
