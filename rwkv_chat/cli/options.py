"""Options that several commands share; those for sampling are made from `SamplingParams` and its texts."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.types import SamplingParams
from rwkv_chat.cli.found import found
from rwkv_chat.cli.numbers import Number, Whole
from rwkv_chat.phrases import sentence
from rwkv_chat.settings import DTYPES
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import Field

Command = TypeVar("Command", bound="Callable[..., Any]")


FILE = click.Path(path_type=Path)
MODEL_METAVAR = "FILE|NAME"


def model_option(command: Command) -> Command:
    """`--model`, here or before the command; the one here wins (see `model_of`)."""
    words = say("cli.option.model")
    return click.option("--model", type=FILE, metavar=MODEL_METAVAR, help=words)(command)


def dtype_option(command: Command) -> Command:
    """`--dtype`: the form of the weights, in place of the settings'."""
    return click.option("--dtype", type=click.Choice(DTYPES), help=say("cli.option.dtype"))(command)


def state_option(command: Command) -> Command:
    """`--state FILE`: a tuned state to begin from."""
    return click.option("--state", type=FILE, metavar="FILE", help=say("cli.option.state"))(command)


def model_of(context: click.Context, model: Path | None) -> Path | None:
    """The weights meant after the command, else those meant before it. Raises: see `found`."""
    return found(model or context.find_root().params.get("model"))


def sampling_options(command: Command) -> Command:
    """One option per numeric field, named and ranged by its metadata; not given means None."""
    for each in reversed(SAMPLING):
        command = _option(each)(command)
    return command


SAMPLING = tuple(each for each in fields(SamplingParams) if each.metadata)


def _option(each: Field[Any]) -> Callable[[Command], Command]:
    low, high = each.metadata["min"], each.metadata["max"]
    kind = Number(low, high) if isinstance(each.default, float) else Whole(low, high)
    words = sentence(say(f"sampling.{each.name}.help"))
    name = f"--{each.name.replace('_', '-')}"
    return click.option(name, each.name, type=kind, metavar="NUMBER", help=words)


def sampling_of(options: Mapping[str, Any], base: SamplingParams) -> SamplingParams:
    """`base` with the options that were given. Raises: InvalidParameter."""
    return replace(base, **given(options))


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling options that were given."""
    names = [each.name for each in SAMPLING]
    return {name: options[name] for name in names if options.get(name) is not None}
