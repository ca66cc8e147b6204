"""What the engine writes for good is on the disk before it has its name: a download, a converted model, an
exported one, the checkpoint of a training run, a saved state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from engine.store.statestore import StateStore
from engine.tune import checkpoint
from engine.tune.checkpoint import Position
from engine.weights.export import convert
from tests.engine import tiny
from tests.engine.downloads import BODY, fetch
from tests.engine.downloads import asked as requested
from tests.engine.test_store import snapshot
from tests.test_durable import asked

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.hub import Hub

__all__ = ["asked"]


def moved(asked: list) -> int:
    return len([each for each in asked if each[0] == "move"])


def test_a_download(asked: list, hub: Hub, tmp_path: Path) -> None:
    assert fetch(requested(tmp_path, hub.add("/model.pth", BODY)))
    assert (tmp_path / "models" / "model.pth").read_bytes() == BODY
    assert moved(asked) >= 1


def test_a_converted_model(asked: list, tmp_path: Path) -> None:
    source = tiny.checkpoint(tmp_path / "one.safetensors", tiny.spec())
    for _ in convert(source, tmp_path / "two.pth", "pth"):
        pass
    assert (tmp_path / "two.pth").exists()
    assert moved(asked) >= 1


def test_a_checkpoint_of_a_run(asked: list, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.safetensors"
    for step in range(2):
        checkpoint.save(path, {"x": torch.zeros(3)}, None, Position(step))
    found = checkpoint.load(path)
    assert found is not None
    assert found.at.step == 1
    assert moved(asked) == 2


def test_a_saved_state(asked: list, tmp_path: Path) -> None:
    store = StateStore(tmp_path / "states", 1_000_000)
    store.save(snapshot(1, 2, 3))
    store.save_passing(snapshot(1, 2, 3, 4))
    store.hold(snapshot(1, 2, 3).key)
    assert moved(asked) == 3


def test_a_download_that_cannot_be_synced_has_no_name(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    url = hub.add("/model.pth", BODY)
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="Input"):
        fetch(requested(tmp_path, url))
    assert not (tmp_path / "models" / "model.pth").exists()
    monkeypatch.undo()
    assert fetch(requested(tmp_path, url))
    assert (tmp_path / "models" / "model.pth").read_bytes() == BODY
