"""The shelf: what is here, what it tells of it, and what a broken file does to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rwkv_chat.session.shelf_types import Found
from tests.chat.talk import begin
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Session

WORLD = tiny.spec(vocab_size=65536, n_embd=16, rank=4)  # the tokenizer comes with the program


async def test_the_builtin_model_is_always_there(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path)
    (entry,) = await session.shelf.entries()
    assert (entry.source, entry.card.builtin, entry.error) == ("built-in", True, None)
    assert entry.nbytes > 0


async def test_what_lies_in_the_folder_of_models_is_found_and_remembered(
    opened: list, tmp_path: Path
) -> None:
    session = await begin(opened, tmp_path)
    file = tiny.checkpoint(session.paths.models / "mine.safetensors", WORLD)
    (session.paths.models / "notes.txt").write_text("no model")
    _, entry = await session.shelf.entries()
    assert (entry.name, entry.source, entry.format, entry.error) == ("mine", "found", "safetensors", None)
    assert entry.spec == WORLD
    assert entry.nbytes == file.stat().st_size
    file.unlink()
    _, entry = await session.shelf.entries()
    assert entry.missing
    assert entry.spec == WORLD


async def test_a_damaged_file_hides_nothing(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path)
    tiny.checkpoint(session.paths.models / "b.safetensors", WORLD)
    (session.paths.models / "a.pth").write_bytes(b"PK\x03\x04 cut short")
    (session.paths.models / "empty").mkdir()
    told = {each.name: each.error for each in (await session.shelf.entries())[1:]}
    assert set(told) == {"a", "b"}
    assert told["b"] is None
    assert told["a"] is not None


async def imported(session: Session, path: Path, *, copy: bool = False) -> list[Found]:
    return [each async for each in session.shelf.import_(path, copy=copy) if isinstance(each, Found)]


async def test_a_folder_is_told_file_by_file(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path / "home")
    folder = tmp_path / "theirs"
    folder.mkdir()
    tiny.checkpoint(folder / "good.pth", WORLD)
    tiny.save(folder / "state.pth", {"blocks.0.att.time_state": torch.zeros(2, 16, 16)})
    tiny.save(folder / "adapter.pth", {"blocks.0.att.key.lora_A": torch.zeros(2, 16)})
    (folder / "old.bin").write_bytes(b"fmgg old rwkv.cpp")
    (folder / "cut.pth").write_bytes((folder / "good.pth").read_bytes()[:-100])
    (folder / ".hidden.pth").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    told = {each.path.name: each.kind for each in await imported(session, folder)}
    expected = {"good.pth": "model", "state.pth": "tuned-state", "adapter.pth": "adapter"}
    assert told == {**expected, "old.bin": "unsupported", "cut.pth": "damaged"}
    _, entry = await session.shelf.entries()
    assert (entry.path, entry.source, entry.ours) == (folder / "good.pth", "in place", False)
