"""The line that shows how far a long task is: on a terminal only, gone at the end."""

from __future__ import annotations

import re
import sys

import pytest

from rwkv_chat.amounts import duration
from rwkv_chat.cli import progress
from rwkv_chat.cli.progress import ProgressLine
from rwkv_chat.texts import say

G = 1_000_000_000


class Terminal:
    """Keeps what was drawn."""

    def __init__(self, *, is_one: bool = True) -> None:
        self.text, self._is_one = "", is_one

    def isatty(self) -> bool:
        return self._is_one

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None: ...

    @property
    def lines(self) -> list[str]:
        return [each for each in re.split(r"\r\x1b\[K", self.text) if each]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the line sees; tests set it."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "200")
    return now


def test_share_speed_and_time_left(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with ProgressLine("g1k-1.5b") as line:
        line.show("download", 0, 4 * G)
        clock[0] += 10
        line.show("download", G, 4 * G)
    assert terminal.lines[0] == "g1k-1.5b: downloading 0% (0 bytes of 4.0 GB)"
    assert terminal.lines[1] == "g1k-1.5b: downloading 25% (1.0 GB of 4.0 GB), 100 MB/s, 30 s left"
    assert terminal.text.endswith("\r\x1b[K")


def test_what_was_here_before_does_not_count_as_speed(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with ProgressLine("x") as line:
        line.show("download", 3 * G, 4 * G)
        clock[0] += 2
        line.show("download", 3 * G + 200_000_000, 4 * G)
    assert terminal.lines[1].endswith("100 MB/s, 8 s left")


def test_it_is_not_drawn_again_at_once(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with ProgressLine("x") as line:
        for done in range(100):
            line.show("hash", done, 100)
        line.show("hash", 100, 100)
    assert len(terminal.lines) == 2


def test_tokens_are_no_bytes(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with ProgressLine("x") as line:
        line.show("golden", 24, 24)
    assert terminal.lines == [say("models.counted", name="x", task="continuing", done=24, total=24)]


def test_nothing_is_drawn_into_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", pipe := Terminal(is_one=False))
    with ProgressLine("x") as line:
        line.show("copy", 1, 2)
    assert pipe.text == ""


def test_a_name_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with ProgressLine("\x1b]0;owned\x07x") as line:
        line.show("copy", 2, 2)
    assert "\x1b]" not in terminal.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "1 s"), (59, "59 s"), (100, "1 min 40 s"), (3600, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
