"""The command line that does what a plan says."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rwkv_chat.importers.filters import Filters
from rwkv_chat.importers.redaction import SECRETS
from rwkv_chat.session.examples_types import AGREED, Selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rwkv_chat.session.examples_types import Branch
    from rwkv_chat.session.tune_types import PresetName

PROGRAM = ("rwkv-chat", "tune", "new")
MINUTE = 60.0
# field of `TuneConfig` → the option that changes it
CHANGES = {
    "steps": "--steps",
    "learning_rate": "--rate",
    "rank": "--rank",
    "alpha": "--alpha",
    "context": "--context",
    "batch_size": "--batch",
    "base": "--base",
    "seed": "--seed",
}


def command_of(
    selection: Selection,
    method: str,
    preset: PresetName,
    name: str,
    model: Path | None,
    changes: Mapping[str, Any],
) -> str:
    """As it is typed into a shell; `model`: None for the built-in one."""
    words = [*PROGRAM, *_selected(selection), *_filtered(selection.filters)]
    words += ["--method", method, "--preset", preset, "--name", name]
    words += ["--model", str(model)] if model is not None else []
    for field, option in CHANGES.items():
        if changes.get(field) is not None:
            words += [option, str(changes[field])]
    return shlex.join(words)


def _selected(of: Selection) -> Iterator[str]:
    usual = Selection()
    yield from (str(each.path) for each in of.files)
    for each in of.branches:
        yield from ("--chat", chat_of(each))
    for option, told in (
        ("--format", [each.form for each in of.files]),
        ("--speaker", [each.speaker for each in of.files]),
    ):
        yield from _each(option, told)
    yield from _option("--gap", of.gap / MINUTE, usual.gap / MINUTE)
    yield from _option("--held", of.held, usual.held)
    yield from _option("--template", of.template, usual.template)
    for kind in SECRETS:
        yield from ("--leave", kind) if kind not in of.redact else ()
    yield from () if of.aliases else ("--names",)
    yield from ("--consent",) if of.consent == AGREED else ()


def _each(option: str, told: list[str]) -> Iterator[str]:
    """Once for all files, or once for each."""
    if any(told):
        for each in told[:1] if len(set(told)) == 1 else told:
            yield from (option, each)


def _filtered(of: Filters) -> Iterator[str]:
    usual = Filters()
    for name in ("fewest", "shortest", "longest", "media", "alike"):
        yield from _option(f"--{name}", getattr(of, name), getattr(usual, name))
    for option, told in (("--language", of.languages), ("--block", of.blocklist)):
        for each in told:
            yield from (option, each)
    yield from ("--links",) if of.links else ()


def _option(name: str, value: object, usual: object) -> Iterator[str]:
    if value != usual:
        yield from (name, f"{value:g}" if isinstance(value, float) else str(value))


def chat_of(branch: Branch) -> str:
    """A conversation by its id, and after a slash the message where a branch of it ends."""
    return f"{branch.thread}/{branch.tip}" if branch.tip else branch.thread
