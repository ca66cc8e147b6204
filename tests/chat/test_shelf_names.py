"""Which model a person means by what they type after --model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import ModelAmbiguous, ModelNotFound, ModelUnknown
from rwkv_chat.explain import sentence
from rwkv_chat.library.models import ModelRow
from rwkv_chat.session.cards import builtin
from rwkv_chat.session.errors import NotHereYet
from rwkv_chat.session.shelf_names import resolve_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chat.command_line import Cli
    from tests.fakes import FakeEngine

G1 = "rwkv7-g1d-0.1b-20260129-ctx8192.pth"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (G1, "rwkv7-g1d-0.4b-20260210-ctx8192.pth", "novel.gguf"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "file"),
    [
        ("g1d-0.1b", G1),
        ("G1D-0.1B", G1),
        ("rwkv7-g1d-0.1b-20260129-ctx8192", G1),
        ("rwkv7-g1d-0.1b", G1),
        ("20260129", G1),
        ("novel", "novel.gguf"),
    ],
)
def test_names_of_what_lies_in_the_folder(folder: Path, typed: str, file: str) -> None:
    assert resolve_in(typed, (), folder) == folder / file


def test_names_of_what_is_registered_elsewhere(folder: Path) -> None:
    rows = [ModelRow("/disk/mine.pth", "in place"), ModelRow("/disk/x.pth", "in place", offer="g1k-1.5b")]
    assert [str(resolve_in(name, rows, folder)) for name in ("mine", "g1k-1.5b", "MINE")] == [
        "/disk/mine.pth",
        "/disk/x.pth",
        "/disk/mine.pth",
    ]


def test_paths_come_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "mine").mkdir()
    (folder / "other").mkdir()
    rows = [ModelRow("/disk/mine.pth", "in place")]
    assert resolve_in("novel.gguf", rows, folder) == folder / "novel.gguf"
    assert resolve_in("./mine", rows, folder) == folder / "mine"
    assert str(resolve_in("mine", rows, folder)) == "/disk/mine.pth"
    assert resolve_in("other", rows, folder) == folder / "other"
    assert resolve_in("guide", rows, folder) == builtin().path


def test_a_model_that_could_be_downloaded_is_told_so(folder: Path) -> None:
    with pytest.raises(NotHereYet) as raised:
        resolve_in("G1k-2.9b", (), folder)
    assert raised.value.name == "g1k-2.9b"
    assert "`rwkv-chat models pull g1k-2.9b`" in sentence(raised.value)
    rows = [ModelRow("/disk/g1k-2.9b.pth", "in place")]
    assert str(resolve_in("g1k-2.9b", rows, folder)) == "/disk/g1k-2.9b.pth"


def test_what_means_nothing_or_too_much(folder: Path) -> None:
    with pytest.raises(ModelUnknown):
        resolve_in("nothing", (), folder)
    with pytest.raises(ModelAmbiguous) as raised:
        resolve_in("g1d", (), folder)
    assert any("0.1b" in each for each in raised.value.candidates)
    rows = [ModelRow("/a/model.pth", "in place"), ModelRow("/b/model.pth", "in place")]
    with pytest.raises(ModelAmbiguous) as raised:
        resolve_in("model", rows, folder)
    assert raised.value.candidates == ("/a/model.pth", "/b/model.pth")
    for path in ("/nowhere/x", "x.pth", "sub/x"):
        with pytest.raises(ModelNotFound):
            resolve_in(path, (), folder)


def test_a_name_is_enough_for_every_command(cli: Cli, engine: FakeEngine) -> None:
    said = cli("ask", "--model", "no-such-name", "Hi")
    assert (said.code, said.out, "no-such-name" in said.err) == (3, "", True)
    assert cli("ask", "--model", "guide", "Hi").code == 0
    assert cli("--model", "no-such-name", "chat", "--plain").code == 3
