"""Looking for models in folders of other programs, and in folders without an end."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from rwkv_chat.session import Found, shelf_scan
from rwkv_chat.session.shelf_headers import read_header
from rwkv_chat.session.shelf_scan import candidates
from tests.chat.talk import begin
from tests.engine import tiny
from tests.engine.samples import SAMPLES, spec_of

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Session
    from rwkv_chat.session.shelf_headers import Header

WORLD = tiny.spec(vocab_size=65536, n_embd=16, rank=4)


def touch(*files: Path) -> None:
    for each in files:
        each.parent.mkdir(parents=True, exist_ok=True)
        each.touch()


def names(root: Path, depth: int = shelf_scan.DEPTH) -> list[str]:
    return [each.relative_to(root).as_posix() for each in candidates(root, depth)]


def test_weights_are_found_by_their_suffix_and_nothing_hidden(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("b.PTH", "a.gguf", "c.txt", "d.pth.part", ".e.pth", ".f/g.pth")))
    touch(tmp_path / "sub" / "h.st", tmp_path / "sub" / "deep" / "i.safetensors")
    assert names(tmp_path) == ["a.gguf", "b.PTH", "sub/deep/i.safetensors", "sub/h.st"]
    assert names(tmp_path, 0) == ["a.gguf", "b.PTH"]


def test_a_model_folder_is_one_candidate(tmp_path: Path) -> None:
    touch(
        tmp_path / "m" / "config.json", tmp_path / "m" / "model.safetensors", tmp_path / "m" / "x" / "y.pth"
    )
    touch(tmp_path / "runner" / "config.json", tmp_path / "runner" / "models" / "z.pth")
    assert names(tmp_path) == ["m", "runner/models/z.pth"]


@pytest.mark.skipif(os.name == "nt", reason="links need a right there that tests lack")
def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "m.pth")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "lost.pth").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["a/m.pth", "lost.pth"]


def test_depth_and_number_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path.joinpath(*(["d"] * 12))
    touch(deep / "deep.pth", *(tmp_path / f"{number}.pth" for number in range(30)))
    assert len(names(tmp_path)) == 30
    monkeypatch.setattr(shelf_scan, "MOST_CANDIDATES", 7)
    assert len(names(tmp_path)) == 7
    monkeypatch.setattr(shelf_scan, "MOST_FOLDERS", 3)
    assert names(tmp_path, 20)[-1] != "deep.pth"


def test_a_folder_that_may_not_be_read_hides_no_other(tmp_path: Path) -> None:
    touch(tmp_path / "closed" / "a.pth", tmp_path / "open" / "b.pth")
    (tmp_path / "closed").chmod(0)
    try:
        assert "open/b.pth" in names(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)


async def told(session: Session, folder: Path) -> dict[str, str]:
    found = [each async for each in session.shelf.import_(folder)]
    assert all(isinstance(each, Found) for each in found)
    return {each.path.relative_to(folder).as_posix(): each.kind for each in found}  # pyright: ignore[reportAttributeAccessIssue]


async def test_a_tree_of_lm_studio(opened: list, tmp_path: Path) -> None:
    session, tree = await begin(opened, tmp_path / "home"), tmp_path / ".lmstudio" / "models"
    rwkv, llama = tree / "someone" / "RWKV7-GGUF", tree / "other" / "Llama-MLX"
    rwkv.mkdir(parents=True)
    SAMPLES["gguf"](rwkv, spec_of("gguf"))
    llama.mkdir(parents=True)
    save_file({"model.layers.0.self_attn.q_proj.weight": torch.zeros(4, 4)}, llama / "model.safetensors")
    (llama / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert await told(session, tree) == {
        "other/Llama-MLX": "unsupported",
        "someone/RWKV7-GGUF/model.gguf": "model",
    }


async def test_a_cache_of_the_hub(opened: list, tmp_path: Path) -> None:
    session, cache = await begin(opened, tmp_path / "home"), tmp_path / "hub"
    snapshot = cache / "models--RWKV--RWKV7-G1-HF" / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    SAMPLES["hf-fla"](snapshot, tiny.spec(vocab_size=65536, n_embd=16, rank=4))
    assert list((await told(session, cache)).values()) == ["model"]
    _, entry = await session.shelf.entries()
    assert (entry.name, entry.format) == ("RWKV7-G1-HF", "hf-fla")


async def test_a_folder_of_every_format_and_much_else(opened: list, tmp_path: Path) -> None:
    session, folder = await begin(opened, tmp_path / "home"), tmp_path / "all"
    for kind, make in SAMPLES.items():
        (folder / kind).mkdir(parents=True)
        make(folder / kind, spec_of(kind))
    (folder / "pipe.pth").symlink_to("/dev/null")
    (folder / "broken.gguf").write_bytes(b"GGUF\xff\xff\xff\xff")
    (folder / "page.safetensors").write_bytes(b"<!DOCTYPE html>")
    found = await told(session, folder)
    assert sorted(found.values()).count("model") == len(SAMPLES)
    assert {found[name] for name in ("broken.gguf", "page.safetensors")} <= {"damaged", "unsupported"}
    again = {each.path: each.id for each in await session.shelf.entries()}
    assert len(again) == len(SAMPLES) + 1


async def test_what_is_looked_at_again_is_read_only_if_it_changed(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await begin(opened, tmp_path / "home")
    file = tiny.checkpoint(session.paths.models / "m.pth", WORLD)
    await session.shelf.entries()
    reads: list[Path] = []

    def read(path: Path) -> Header:
        reads.append(path)
        return read_header(path)

    monkeypatch.setattr("rwkv_chat.session.shelf_look.read_header", read)
    await session.shelf.entries()
    assert file not in reads
    tiny.checkpoint(file, tiny.spec(vocab_size=65536, n_embd=32))
    _, entry = await session.shelf.entries()
    assert file in reads
    assert entry.spec is not None
    assert entry.spec.n_embd == 32
