"""Descriptions beside downloaded weights are read as what they are: somebody else's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rwkv_chat.session.cards import LARGEST_DESCRIPTION, card_for


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"x = [[[", b"x = " + b"[" * 50_000, b"#" * (LARGEST_DESCRIPTION + 1), b"file = 5"],
    ids=["no-utf8", "no-toml", "nested", "giant", "wrong-type"],
)
def test_a_description_that_cannot_be_read_says_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_bytes(b'file = "m.pth"\nname = "other"\n' + content)
    assert card_for(tmp_path / "m.pth").name == "m"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are a Unix thing")
def test_a_description_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.toml")
    assert card_for(tmp_path / "m.pth").name == "m"


def test_a_path_under_nobodys_home_is_a_path() -> None:
    assert card_for(Path("~nobody-of-this-name/m.pth")).name == "m"
