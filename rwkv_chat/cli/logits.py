"""`rwkv-chat logits`: what a model says about given ids, in a file, to hold it against another program."""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from engine.durable import into_place
from rwkv_chat.cli.options import FILE
from rwkv_chat.cli.output import note
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np

NEW_FILE = click.Path(path_type=Path, dir_okay=False)
Result = TypeVar("Result")


@click.command("logits", help=say("cli.logits.help"))
@click.argument("file", type=FILE)
@click.option("--ids", required=True, metavar="1,2,3", help=say("cli.logits.ids"))
@click.option("--every", is_flag=True, help=say("cli.logits.every"))
@click.option("--out", required=True, type=NEW_FILE, metavar="FILE", help=say("cli.logits.out"))
@click.option("--device", default="cpu", show_default=True, help=say("cli.logits.device"))
@click.option(
    "--dtype",
    default="fp32",
    show_default=True,
    type=click.Choice(["fp32", "bf16", "fp16", "int8"]),
    help=say("cli.logits.dtype"),
)
def command(file: Path, ids: str, every: bool, out: Path, device: str, dtype: str) -> None:
    """Load, feed, write."""
    tokens = parse_ids(sys.stdin.read() if ids == "-" else ids)
    logits = compute(file, tokens, every=every, device=device, dtype=dtype)
    write(out, logits)
    note(say("cli.logits.wrote", shape=list(logits.shape), path=out))


def parse_ids(text: str) -> list[int]:
    """Token ids separated by commas or space. Raises: UsageError."""
    words = [word for word in re.split(r"[,\s]+", text.strip()) if word]
    if not words:
        raise click.UsageError(say("cli.logits.no_ids"))
    for word in words:
        if not re.fullmatch(r"[0-9]{1,10}", word):
            raise click.UsageError(say("cli.logits.bad_ids", word=repr(word)))
    return [int(word) for word in words]


def compute(file: Path, tokens: list[int], *, every: bool, device: str, dtype: str) -> np.ndarray:
    """Logits float32 [V] after the last token, or [T, V] after every one.

    Raises:
        EngineError: the file cannot be loaded.
        UsageError: an id is outside the vocabulary.
    """
    import torch

    from engine.weights.load import load, read_spec

    last = read_spec(file).vocab_size - 1
    if (wrong := max(tokens)) > last:
        raise click.UsageError(say("cli.logits.id_range", id=wrong, last=last))
    model = finished(load(file, device=device, dtype=dtype))
    with torch.inference_mode():
        fed = torch.tensor([tokens], dtype=torch.int64, device=model.device)
        logits, _ = model.forward(fed, model.zero_state(1), all_logits=every)
    return logits[0].float().cpu().numpy()


def finished(loading: Generator[object, None, Result | None]) -> Result:
    """Run a load that nobody stops to its end; the model."""
    while True:
        try:
            next(loading)
        except StopIteration as end:
            return end.value


def write(path: Path, logits: np.ndarray) -> None:
    """Write a .npy file, whole or not at all. Raises: OSError."""
    import numpy as np

    if not path.parent.is_dir():  # else the error would name the temporary file
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            np.save(file, logits)
        into_place(part, path)
    finally:
        part.unlink(missing_ok=True)
