"""The program opens at once: what its help and its first frame cost, and what comes after the frame."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Sample

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

BAR = 2.0
TURNS, MANY = 3, 25


def test_the_help_costs_at_most_twice_what_click_costs(sample: Sample, room: float) -> None:
    from tests.starting import CLICK, HELP, ratio, run_alone

    found = ratio(lambda: run_alone(HELP), lambda: run_alone(CLICK), sample("turns", TURNS, MANY))
    print(f"--help / import click: {found:.2f}")
    assert found <= BAR * room


def test_the_first_frame_costs_at_most_twice_what_textual_costs(
    tmp_path: Path, sample: Sample, room: float
) -> None:
    from tests.starting import TEXTUAL, first_frame, ratio, run_alone, settled_home

    home, turns = settled_home(tmp_path / "home"), sample("turns", TURNS, MANY)
    found = ratio(lambda: first_frame(home)[0], lambda: run_alone(TEXTUAL), turns)
    print(f"first frame / import textual: {found:.2f}")
    assert found <= BAR * room


def test_what_was_said_is_there_and_what_is_typed_early_is_sent(tmp_path: Path) -> None:
    """The real program and its built-in model, twice: the second time a message is typed, and sent, at the
    first frame, before the model is loaded. The last conversation goes on, from its state on the disk.
    """
    from tests.starting import PROGRAM, PROMPT, settled_home
    from tests.tui.pty_run import Terminal

    env = {"RWKV_CHAT_HOME": str(settled_home(tmp_path / "home"))}
    with Terminal(PROGRAM, env=env) as first:
        first.wait_for(PROMPT)
        first.type("how do i quit?\r")
        first.wait_for("Ctrl+Q", "ready")
    with Terminal(PROGRAM, env=env) as second:
        second.wait_for(PROMPT)
        second.type("thank you\r")
        second.wait_for("how do i quit?", "Ctrl+Q")
        second.wait_for("resumed from disk")
        assert "rebuilt" not in second.drawn
        assert second.drawn.index("Ctrl+Q") < second.drawn.index("ready")
