"""Taking texts out: copies by message, part and selection, links, an editor, a pager; and what is refused."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.app import SuspendNotSupported
from textual.widgets import Button

from rwkv_chat import paths
from rwkv_chat.tui import browser, clipboard, outside
from rwkv_chat.tui.bindings import BINDINGS, Scope, all_keys, scope
from rwkv_chat.tui.outside import OutsideFailed, edit, page
from rwkv_chat.tui.prose.blocks import blocks, codes, links
from rwkv_chat.tui.screens.dialogs import Confirm
from rwkv_chat.tui.screens.picking import Pick
from tests.fakes import FakeEngine
from tests.tui.helpers import opened, say_to, toasts, until

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = """Before [a link](https://example.org/a "title"), see https://example.net/b.

- one

  ```sh
  \tmake all
  ```

```python
if x:
    pass
```

| a | b |
|---|---|
| 1 | 2 |

[local](file:///etc/passwd) [script](javascript:alert(1)) [mail](mailto:a@example.org) [a](https://example.org/a)
"""


# ------------------------------------------------------------------------------------------ parts of a text


def test_every_part_is_its_source_and_code_is_the_code_alone() -> None:
    found = blocks(TEXT)
    assert [each.language for each in found] == [None, None, "python", None, None]
    assert found[1].source == "- one\n\n  ```sh\n  \tmake all\n  ```"
    assert found[2].source == "if x:\n    pass"
    assert found[3].source == "| a | b |\n|---|---|\n| 1 | 2 |"
    assert codes(TEXT) == ["\tmake all", "if x:\n    pass"]


def test_links_go_to_the_web_and_nowhere_else() -> None:
    assert links(TEXT) == ["https://example.org/a", "https://example.net/b", "mailto:a@example.org"]
    for hostile in ("file:///etc/passwd", "/etc/passwd", "../x", "javascript:x", "ssh://host", "https://"):
        assert links(f"[x]({hostile}) <{hostile}>") == []
    assert links("`https://example.org`") == [], "code is no link"


# -------------------------------------------------------------------------------------------- the clipboard


def test_the_terminal_gets_the_text_and_tmux_hands_it_on() -> None:
    coded = base64.b64encode("你好\n".encode()).decode()
    plain = f"\x1b]52;c;{coded}\x07"
    assert clipboard.sequence("你好\n", tmux=False) == plain
    assert clipboard.sequence("你好\n", tmux=True) == f"{plain}\x1bPtmux;\x1b\x1b]52;c;{coded}\x07\x1b\\"


@pytest.mark.skipif(sys.platform == "win32", reason="the tools are shell scripts here")
def test_the_first_tool_that_takes_it_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in (("wl-copy", "exit 1"), ("xclip", f'cat > "{tmp_path}/got"'), ("xsel", "exit 1")):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = clipboard.tools(frozenset({"wayland", "x11"}))
    assert [each[0] for each in found][:2] == ["wl-copy", "xclip"]
    assert clipboard.hand_over("text\n", found)
    assert (tmp_path / "got").read_text() == "text\n"
    assert not clipboard.hand_over("text", [("wl-copy",), ("not-there-at-all",)])


async def test_what_is_copied_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([f" {TEXT}", " one line"])) as (app, pilot, screen):
        await pilot.press("f6")
        assert toasts(app) == ["There is no reply to copy yet."]
        await say_to(pilot, screen, "x")
        await pilot.press("f6")
        assert app.clipboard == TEXT
        lines = len(TEXT.splitlines())
        await until(pilot, lambda: toasts(app)[-1] == f"Copied {lines} lines.")
        await say_to(pilot, screen, "y")
        await pilot.press("f6")
        await until(pilot, lambda: toasts(app)[-1] == "Copied 1 line.")


async def test_a_part_is_chosen_and_the_code_offered_first(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([f" {TEXT}"])) as (app, pilot, screen):
        await say_to(pilot, screen, "x")
        await pilot.press("alt+y")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen)
        assert app.clipboard == "if x:\n    pass"
        await pilot.press("ctrl+e", "t")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("home", "enter")
        await until(pilot, lambda: app.clipboard.startswith("Before [a link]"))


async def test_a_click_on_the_word_copies_the_code_as_it_was_written(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([f" {TEXT}"])) as (app, pilot, screen):
        await say_to(pilot, screen, "x")
        transcript = screen.transcript
        found = []
        for y in range(transcript.size.height):
            line = transcript.render_line(y).text.rstrip()
            if line.endswith(" copy"):
                await pilot.click(transcript, offset=(len(line) - 2, y))
                before = len(found)
                await until(pilot, lambda: len(toasts(app)) > before)  # noqa: B023  it is waited for here
                found.append(app.clipboard)
        assert found == ["\tmake all", "if x:\n    pass"]


async def test_two_clicks_select_the_message_and_not_the_conversation(tmp_path: Path) -> None:
    async with opened(tmp_path, FakeEngine([" Hello\n\nthere."])) as (app, pilot, screen):
        await say_to(pilot, screen, "what I said")
        await pilot.click(screen.transcript, offset=(20, 4), times=2)
        await until(pilot, lambda: screen.get_selected_text() == "Hello\n\nthere.")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.clipboard == "Hello\n\nthere.")
        assert toasts(app)[-1] == "Copied 3 lines."


# --------------------------------------------------------------------------------------------------- links


async def test_a_link_is_asked_about_and_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened_links: list[str] = []
    monkeypatch.setattr(browser, "open_link", lambda link, _: opened_links.append(link) or True)
    async with opened(tmp_path, FakeEngine([" See [this](https://example.org/x)."])) as (app, pilot, screen):
        await say_to(pilot, screen, "x")
        await pilot.press("ctrl+e", "o")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "https://example.org/x" in app.screen.question  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("enter")  # "keep" has the focus
        await until(pilot, lambda: app.screen is screen)
        assert opened_links == []
        row = next(y for y in range(30) if "See this" in screen.transcript.render_line(y).text)
        column = screen.transcript.render_line(row).text.index("this")
        await pilot.click(screen.transcript, offset=(column + 1, row))
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        app.screen.query_one("#yes", Button).press()
        await until(pilot, lambda: opened_links)
        assert opened_links == ["https://example.org/x"]


def test_only_a_browser_with_a_window_gets_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", lambda line, **_: asked.append(line))
    monkeypatch.setattr(browser.webbrowser, "open", lambda link: asked.append(link) or True)
    monkeypatch.setattr(browser.shutil, "which", lambda name: name)
    for link in ("file:///etc/passwd", "/etc/passwd", "javascript:x"):
        assert not browser.open_link(link, frozenset({"x11"}))
    assert asked == []
    monkeypatch.setattr(browser.sys, "platform", "linux")
    assert not browser.open_link("https://example.org", frozenset())
    assert browser.open_link("https://example.org", frozenset({"x11"}))
    assert asked == [["xdg-open", "https://example.org"]]


# ------------------------------------------------------------------------------------- editor and pager


@contextmanager
def lent() -> Iterator[None]:
    yield


@contextmanager
def refused() -> Iterator[None]:
    raise SuspendNotSupported
    yield


def program(tmp_path: Path, script: str) -> str:
    file = tmp_path / "program"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o700)
    return str(file)


@pytest.mark.skipif(sys.platform == "win32", reason="the editors are shell scripts here")
async def test_an_editor_gets_a_private_file_that_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    script = f'ls -ldn "$1" "$(dirname "$1")" > "{tmp_path}/seen"; printf "two\\r\\n\\033[31m3" >> "$1"'
    text = await edit(lent, [program(tmp_path, script)], "one\n")
    assert text == "one\ntwo\n[31m3"
    modes = [line.split()[0][:10] for line in (tmp_path / "seen").read_text().splitlines()]
    assert sorted(modes) == ["-rw-------", "drwx------"]
    assert list(temporary.iterdir()) == []
    with pytest.raises(OutsideFailed) as failed:
        await edit(lent, [program(tmp_path, "exit 3")], "one")
    assert failed.value.kind == "ended"
    with pytest.raises(OutsideFailed, match="missing"):
        await edit(lent, ["not-there-at-all"], "one")
    with pytest.raises(OutsideFailed, match="terminal"):
        await edit(refused, [program(tmp_path, "true")], "one")
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the editors are shell scripts here")
async def test_what_cannot_be_taken_from_an_editor_stays_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(outside, "MOST", 1000)
    exactly = program(tmp_path, "printf 'é%.0s' $(seq 500) > \"$1\"")
    assert await edit(lent, [exactly], "one") == "é" * 500
    for kind, script in (
        ("large", 'printf \'é%.0s\' $(seq 500) > "$1"; printf x >> "$1"'),
        ("ended_kept", 'printf "all that was typed" > "$1"; exit 1'),
    ):
        with pytest.raises(OutsideFailed) as failed:
            await edit(lent, [program(tmp_path, script)], "one")
        kept = failed.value.kept
        assert failed.value.kind == kind
        assert kept is not None
        assert kept.read_text() == {"large": "é" * 500 + "x", "ended_kept": "all that was typed"}[kind]


@pytest.mark.skipif(sys.platform == "win32", reason="the editors are shell scripts here")
async def test_where_a_text_was_left_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", program(tmp_path, 'printf "more" > "$1"; exit 1'))
    async with opened(tmp_path / "home") as (app, pilot, screen):
        monkeypatch.setattr(app, "lent", lent)
        screen.prompt.text = "begun"
        await pilot.press("alt+w")
        await until(pilot, lambda: toasts(app))
        (said,) = toasts(app)
        assert taken_away(said.split()[-1]) == "more"
        assert screen.prompt.text == "begun"


def taken_away(file: str) -> str:
    """What a file has whose folder is deleted now."""
    text = Path(file).read_text()
    shutil.rmtree(Path(file).parent)
    return text


@pytest.mark.skipif(sys.platform == "win32", reason="the pagers are shell scripts here")
async def test_a_pager_gets_the_text_through_a_pipe(tmp_path: Path) -> None:
    await page(lent, [program(tmp_path, f'cat > "{tmp_path}/got"')], "all of it")
    assert (tmp_path / "got").read_text() == "all of it"
    await page(lent, [program(tmp_path, "exec 0<&-")], "x" * 1_000_000)  # left before it was read


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
async def test_whoever_handled_ctrl_c_does_so_again(tmp_path: Path) -> None:
    """asyncio's own way back is Python's default, which raises wherever the program happens to be."""
    before, mine = signal.getsignal(signal.SIGINT), lambda *_: None
    signal.signal(signal.SIGINT, mine)
    try:
        await page(lent, [program(tmp_path, "true")], "")
        assert signal.getsignal(signal.SIGINT) is mine
        with pytest.raises(OutsideFailed):
            await page(lent, [program(tmp_path, "exit 3")], "")
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="the editors are shell scripts here")
async def test_the_message_comes_back_from_the_editor_and_can_be_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", program(tmp_path, 'echo "more" >> "$1"'))
    async with opened(tmp_path / "home") as (app, pilot, screen):
        monkeypatch.setattr(app, "lent", lent)
        screen.prompt.text = "begun\n"
        await pilot.press("alt+w")
        await until(pilot, lambda: screen.prompt.text == "begun\nmore")
        await pilot.press("ctrl+z")
        assert screen.prompt.text == "begun\n"
        monkeypatch.setenv("VISUAL", "not-there-at-all")
        await pilot.press("alt+w")
        await until(pilot, lambda: toasts(app) == ["not-there-at-all is not on this machine."])
        app.session.private = True
        await pilot.press("alt+w")
        await until(pilot, lambda: any("private" in each for each in toasts(app)))
        assert screen.prompt.text == "begun\n"


async def test_where_there_is_no_editor_or_pager_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VISUAL", "EDITOR", "PAGER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("rwkv_chat.tui.screens.copying.EDITORS", ())
    monkeypatch.setattr("rwkv_chat.tui.screens.copying.PAGERS", ())
    async with opened(tmp_path) as (app, pilot, _):
        await pilot.press("alt+w", "alt+v")
        await until(pilot, lambda: len(toasts(app)) == 2)
        assert "EDITOR" in toasts(app)[0]
        assert "PAGER" in toasts(app)[1]


def test_what_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "code --wait")
    monkeypatch.setenv("EDITOR", "nano")
    assert paths.editor() == ("code", "--wait")
    monkeypatch.setenv("VISUAL", "'broken")
    assert paths.editor() == ("nano",)
    monkeypatch.setenv("TMUX", "x")
    monkeypatch.delenv("DISPLAY", raising=False)
    assert "tmux" in paths.surroundings()
    assert "x11" not in paths.surroundings()


def test_no_key_does_two_things_in_one_place() -> None:
    places: set[Scope] = {row.scope for row in BINDINGS}
    for place in places:
        keys = [key.strip() for row in scope(place) for key in all_keys(row).split(",")]
        assert sorted(keys) == sorted(set(keys)), place
