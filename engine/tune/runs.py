"""A run folder: `config.json`, `events.jsonl` (one event per line) and `checkpoint.pt`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from engine.durable import into_place

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import Evaluated, Progress, Step


class Run:
    """One training run's folder, made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = folder / "checkpoint.pt"
        self.events = folder / "events.jsonl"

    def write_config(self, config: dict[str, Any]) -> None:
        (self.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def log(self, event: Step | Evaluated | Progress) -> None:
        """Appends one line: the event's class under "event", and its fields."""
        line = json.dumps({"event": type(event).__name__, **asdict(event)})
        with self.events.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def read_events(self) -> list[dict[str, Any]]:
        """All whole lines so far; a line cut by a kill is left out."""
        if not self.events.exists():
            return []
        events = []
        for line in self.events.read_text(encoding="utf-8").splitlines():
            try:
                events.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return events

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Replaces the checkpoint as a whole: a kill leaves the old one or the new one."""
        temporary = self.checkpoint.with_suffix(".tmp")
        with temporary.open("wb") as file:
            torch.save(checkpoint, file)
        into_place(temporary, self.checkpoint)

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint (tensors and plain values only), or None."""
        if not self.checkpoint.exists():
            return None
        return torch.load(self.checkpoint, map_location="cpu", weights_only=True)
