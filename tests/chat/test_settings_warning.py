"""A settings file that cannot be used is told, in both front ends, and left as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rwkv_chat.explain import settings_sentence
from rwkv_chat.paths import Paths
from rwkv_chat.session import open_session
from rwkv_chat.settings_file import SettingsWarning, Wrong

if TYPE_CHECKING:
    from pathlib import Path


WRONG = (Wrong("threads", allowed="0 … 1,024"), Wrong("theem", near="theme"), Wrong("xyz"))


def test_each_kind_has_its_sentence() -> None:
    damaged = settings_sentence(SettingsWarning("/a/\x1b[31mb.toml", "damaged", reason="line 1"))
    assert "/a/[31mb.toml" in damaged
    assert "line 1" in damaged
    invalid = settings_sentence(SettingsWarning("/a/b.toml", "invalid", WRONG))
    assert "threads can be 0 … 1,024" in invalid
    assert "did you mean theme?" in invalid
    assert "xyz is not known" in invalid


@pytest.mark.parametrize("content", ["= nonsense", 'threads = "many"'])
async def test_line_mode_says_so_and_the_file_stays(
    content: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rwkv_chat.cli.opening import opened

    file = Paths.find().settings_file
    file.parent.mkdir(parents=True)
    file.write_text(content)
    async with opened(None, keep=True):
        pass
    assert "settings" in capsys.readouterr().err.lower()
    assert file.read_text() == content


async def test_a_sound_file_is_passed_over_in_silence(home: Path) -> None:
    session = await open_session(Paths.find())
    assert session.settings_warning is None
    await session.close()
