"""What the tests of `rwkv-chat models` share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import ModelSpec
    from tests.chat.command_line import Cli

WORLD = tiny.spec(vocab_size=65536, n_embd=16, rank=4)
FILE = "rwkv7-g1d-0.1b-20260129-ctx8192.pth"


def made(folder: Path, name: str = "mine.safetensors", spec: ModelSpec = WORLD) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return tiny.checkpoint(folder / name, spec)


def here(cli: Cli) -> dict[str, dict]:
    """The entries of `list --json` by name."""
    return {each["name"]: each for each in json.loads(cli("models", "list", "--json").out)["here"]}
