"""A process that answers until it is killed, and notes its tokens down as they come."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from engine import row
from engine.types import Piece, SamplingParams
from tests.engine.small import PROMPT, engine_on, request

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import LoadRequest, TokenIds

LIVELY = SamplingParams(
    temperature=1.0,
    top_p=0.9,
    presence_penalty=0.4,
    frequency_penalty=0.3,
    seed=7,
    max_tokens=20_000,
    bans=(0,),
)


def answer(model: LoadRequest, folder: Path) -> None:
    row.MARK_SECONDS = 0.1
    notes = os.open(folder / "notes", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    with engine_on(folder, model) as engine:
        for event in engine.submit(request(PROMPT, params=LIVELY)):
            if isinstance(event, Piece):
                os.write(notes, (json.dumps(event.tokens) + "\n").encode())


def noted(folder: Path) -> TokenIds:
    """What was told before the kill; a line may be half written."""
    file = folder / "notes"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return tuple(token for line in lines for token in json.loads(line))
