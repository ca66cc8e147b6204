"""Diagnostics help to find a fault and tell nothing of the person's."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from rwkv_chat.cli.main import run
from rwkv_chat.diagnostics import reduced, report
from rwkv_chat.logs import last_lines, start_logging, stop_logging
from rwkv_chat.paths import Paths
from tests.fakes import FakeEngine, fake_session

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

WORD = "xyzzy"  # in every place that is the person's


async def test_nothing_of_the_person_s_is_told(tmp_path: Path) -> None:
    paths = Paths.under(tmp_path / WORD).make()
    paths.settings_file.write_text(
        f'model = "/home/{WORD}/{WORD}.pth"\ntheme = "nord"\nthreads = 3\n{WORD} = 1\n'
        f'[keymap]\n"chat.stop" = "f11"\n"{WORD}" = "f11"\n'
    )
    session = await fake_session(tmp_path / WORD, FakeEngine())
    async for _ in session.chats.send(None, f"my name is {WORD}"):
        pass
    await session.close()
    handler = start_logging(paths.log_file)
    try:
        logging.getLogger("rwkv_chat.x").error("could not read %s", WORD)
        logging.getLogger("elsewhere").error(WORD)
        _fail(WORD)
    finally:
        stop_logging(handler)
    assert WORD in paths.log_file.read_text()  # or the test would prove nothing of the log
    text = report(paths)
    assert WORD not in text
    told = json.loads(text)
    assert told["settings"]["theme"] == "nord"
    assert told["settings"]["model"] == told["settings"]["keymap"] == "changed"
    assert told["settings"]["threads"] == 3
    assert told["library"]["messages"] == 2
    assert told["model"] == {"error": "ModelNotFound"}
    assert {"torch", "textual", "python"} <= told["versions"].keys()
    assert any("RuntimeError" in each for each in told["log"])


def _fail(words: str) -> None:
    try:
        raise RuntimeError(words)
    except RuntimeError:
        logging.getLogger("rwkv_chat.x").exception("failed for %s", words)


def test_a_log_is_reduced_to_where_and_what() -> None:
    lines = (
        "2026-01-02 03:04:05,678 ERROR rwkv_chat.session.models: could not read /home/me/Secret.pth",
        "Traceback (most recent call last):",
        '  File "/home/me/rwkv/rwkv_chat/session/models.py", line 12, in _load',
        "    secret = open('Secret.pth')",
        '  File "/home/me/Secret.py", line 3, in secret',
        "FileNotFoundError from Unexpected",
        "Secret",
        "2026-01-02 03:04:06,000 INFO secret: of another program",
    )
    assert list(reduced(lines)) == [
        "2026-01-02 03:04:05,678 ERROR rwkv_chat.session.models",
        "  rwkv_chat/session/models.py:12 _load",
        "  FileNotFoundError from Unexpected",
    ]


def test_the_end_of_a_log_in_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert last_lines(file) == ()
    file.write_text("".join(f"line {n}\n" for n in range(100)))
    assert last_lines(file)[-1] == "line 99"
    assert last_lines(file, 20) == ("line 98", "line 99")
    assert last_lines(tmp_path) == ()


def test_the_doctor_prints_them(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--report"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == {"built-in": True}
