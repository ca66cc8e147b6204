"""The first frame comes before torch, and whatever ends the program, what was said is kept."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.tui.pty_run import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("torch", "triton", "tokenizers", "huggingface_hub", "numpy", "safetensors", "pygments.lexers.python")
# of our own: what the first frame can do without, and what each of them brings along
LATER = (
    "engine.types",
    "engine.service",
    "rwkv_chat.session.chats",
    "rwkv_chat.session.models",
    "markdown_it",
)

FIRST_FRAME = """
import asyncio, sys
from pathlib import Path
from rwkv_chat.session import open_session
from rwkv_chat.tui.app import RwkvChatApp
import rwkv_chat.cli.open_tui
seen = []
class Watched(RwkvChatApp):
    def first_frame(self):
        seen.extend(sys.modules)
        seen.append(str(len(self.screen._compositor.visible_widgets)))
        self.exit(0)
async def main():
    opened = await open_session(house=False)
    app = Watched(opened)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
    await opened.close()
asyncio.run(main())
print(*[name for name in %r if name in seen], "widgets", seen[-1])
"""


def test_the_first_frame_comes_before_torch(tmp_path: Path) -> None:
    env = os.environ | {"RWKV_CHAT_HOME": str(tmp_path)}
    code = FIRST_FRAME % ((*HEAVY, *LATER),)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    heavy, _, widgets = done.stdout.partition("widgets")
    assert heavy.split() == []
    assert int(widgets) > 3


ENDED = """
import asyncio, os, signal, sys
from pathlib import Path
from textual.message import Message
from rwkv_chat.logs import start_logging
from rwkv_chat.tui.app import RwkvChatApp, stay
from rwkv_chat.tui.working import start_vital
from tests.fakes import FakeEngine, fake_session
class Ours(Message):
    pass
class Ended(RwkvChatApp):
    def first_frame(self):
        super().first_frame()
        self.set_interval(0.02, self.look)
        self.screen_stack[0].send("hello")
        self.told = False
    def look(self):
        live = self.screen_stack[0].live
        if live is not None and len(live.text) > 50 and not self.told:
            self.told = True
            self.screen_stack[0].prompt.text = "a draft"
            %s
    def on_ours(self):
        raise RuntimeError("ours")
    async def fails(self):
        raise RuntimeError("ours")
async def main():
    session = await fake_session(Path(sys.argv[1]), FakeEngine([" word" * 5000], delay=0.01))
    await session.change_settings(first_run_done=True)
    start_logging(session.paths.log_file)
    sys.exit(await stay(Ended(session)))
asyncio.run(main())
"""
LEFT = "\x1b[?1049l"  # the full-screen program gives the terminal back


def after(drawn: bytes) -> str:
    """What was said when the full-screen program had ended, without escape sequences."""
    said = drawn.decode(errors="replace").rpartition(LEFT)[2] if LEFT.encode() in drawn else ""
    return " ".join(re.sub(r"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b\][^\x07]*\x07", "", said).split())


ENDS = {
    "the window is shut": ("pass", 0),
    "quit": ("self.run_worker(self.run_action('quit'))", 0),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", 0),
    "SIGHUP": ("os.kill(os.getpid(), signal.SIGHUP)", 0),
    "a clock's mistake": ("raise RuntimeError('ours')", 1),
    "a vital worker's mistake": ("start_vital(self, self.fails)", 1),
    "a handler's mistake, and a callback's": (
        "self.post_message(Ours()); self.screen_stack[0].call_later(self.on_ours)",
        1,
    ),
    "a mistake of the screens that are left": ("self.desk.drafts.look = self.on_ours; self.exit(0)", 0),
}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal and signals")
@pytest.mark.parametrize("end", ENDS)
async def test_what_was_said_is_kept(end: str, tmp_path: Path) -> None:
    from tests.fakes import fake_session
    from tests.tui.pty_run import run_in_pty

    script = tmp_path / "ended.py"
    script.write_text(ENDED % ENDS[end][0])
    env = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
    marker = b"word word word" if end == "the window is shut" else None
    drawn, code = run_in_pty([str(script), str(tmp_path / "home")], env=env, seconds=120, close_after=marker)
    assert code == ENDS[end][1], drawn[-2000:].decode(errors="replace")
    session = await fake_session(tmp_path / "home")
    thread = (await session.chats.threads())[0]
    nodes = (await session.chats.open(thread.id)).nodes
    left = await session.drafts.take_over()
    await session.close()
    assert [each.message.role for each in nodes] == ["user", "assistant"]
    assert nodes[-1].message.text.startswith("word word word")
    assert nodes[-1].status == "stopped"
    if end not in ("the window is shut", "a mistake of the screens that are left"):
        assert [each.draft.text for each in left] == ["a draft"]
    assert b"Traceback" not in drawn
    told = after(drawn)
    if "mistake" in end:
        log = (tmp_path / "home" / "data" / "logs" / "rwkv-chat.log").read_text()
        assert 'raise RuntimeError("ours")' in log or "raise RuntimeError('ours')" in log
        assert "word word" not in log
    if ENDS[end][1]:
        assert told.startswith(
            "The program met an error it cannot go on from (RuntimeError); your conversations"
        )
        assert told.count("conversations are saved") == 1
        assert "NOTE" not in told
    else:
        assert told == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_that_cannot_be_given_back_keeps_no_process(tmp_path: Path) -> None:
    """Textual's thread that reads keys is not told that all is over."""
    from tests.tui.pty_run import run_in_pty

    script = tmp_path / "ended.py"
    gone = "self._driver.disable_input = self.on_ours; self.exit(0)"
    script.write_text(ENDED % gone)
    env = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
    _, code = run_in_pty([str(script), str(tmp_path / "home")], env=env, seconds=120)
    assert code != 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_window_title_cannot_be_steered(tmp_path: Path) -> None:
    from tests.tui.pty_run import run_in_pty

    script = tmp_path / "ended.py"
    body = (ENDED % ENDS["quit"][0]).replace('send("hello")', 'send("he\\x1b]2;evil\\x07llo")')
    script.write_text(body)
    env = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
    drawn, _ = run_in_pty([str(script), str(tmp_path / "home")], env=env, seconds=120)
    assert b"\x1b]2;evil" not in drawn
    assert b"]2;he]2;evilllo" in drawn or b"\x1b]2;he]2;evilllo" in drawn
    assert drawn.count(b"\x1b[22;2t") == drawn.count(b"\x1b[23;2t") == 1
