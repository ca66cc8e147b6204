"""The start takes short cuts; each leads where the long way leads."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rwkv_chat import __main__, language, texts
from rwkv_chat.cli import open_tui
from rwkv_chat.cli.main import run
from rwkv_chat.paths import (
    FolderUnusable,
    Paths,
    platform_folders,
    settings_file,
    terminal_columns,
    xdg_folders,
)
from rwkv_chat.session import open_session
from rwkv_chat.settings_file import SettingsFile

if TYPE_CHECKING:
    from collections.abc import Iterator

SURROUNDINGS: dict[str, dict[str, str]] = {
    "usual": {"HOME": "/home/a"},
    "slash": {"HOME": "/home/a/"},
    "root": {"HOME": "/"},
    "named": {"HOME": "/home/a", "XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c/", "XDG_CACHE_HOME": "/e"},
    "relative": {"HOME": "/home/a", "XDG_DATA_HOME": "d", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "./e"},
}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable says where anything is."""
    for name in ("RWKV_CHAT_HOME", "ANDROID_DATA", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked")
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_our_folders_are_those_that_platformdirs_names(name: str, bare: pytest.MonkeyPatch) -> None:
    for variable, value in SURROUNDINGS[name].items():
        bare.setenv(variable, value)
    short = xdg_folders()
    assert short is not None
    assert [*map(Path, short)] == [*map(Path, platform_folders())]
    assert Path(settings_file()) == Paths.find().settings_file


@pytest.mark.parametrize("home", ["/a", " /a/b ", "~/a", "~nobody-of-that-name/a"])
def test_the_settings_are_looked_for_where_they_are(home: str, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("RWKV_CHAT_HOME", home)
    assert Path(settings_file()).absolute() == Paths.find().settings_file


@pytest.mark.parametrize("columns", ["40", "0", "-1", "x", "", None])
def test_the_terminal_is_as_wide_as_the_standard_library_says(
    columns: str | None, bare: pytest.MonkeyPatch
) -> None:
    if columns is None:
        bare.delenv("COLUMNS", raising=False)
    else:
        bare.setenv("COLUMNS", columns)
    assert terminal_columns() == shutil.get_terminal_size().columns


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked")
@pytest.mark.parametrize("home", ["", "relative", None])
def test_without_a_home_platformdirs_is_asked(home: str | None, bare: pytest.MonkeyPatch) -> None:
    if home is None:
        bare.delenv("HOME", raising=False)
    else:
        bare.setenv("HOME", home)
    assert xdg_folders() is None
    assert Paths.find().data.is_absolute()


def test_who_has_no_folder_gets_a_sentence(
    bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(*_: Any) -> Any:
        raise RuntimeError("could not determine the home directory")

    bare.setattr("rwkv_chat.paths.xdg_folders", lambda: None)
    bare.setattr("platformdirs.PlatformDirs.user_data_dir", property(nobody))
    with pytest.raises(FolderUnusable):
        Paths.find()
    language.choose()
    assert run(["settings", "path"]) == 1
    shown = capsys.readouterr().err
    assert "could not determine the home directory" in shown
    assert "Traceback" not in shown


FILES = {
    "as we write it": ('language = "zh"\ntheme = "nord"\n', "zh"),
    "after others": ('theme = "nord"\nlanguage = "ja"\n', "ja"),
    "written by hand": ("language='ja'\n", "ja"),
    "in a table": ('[keymap]\nlanguage = "zh"\n', "en"),
    "in words": ('# language = "zh"\ntheme = "nord"\n', "en"),
    "both": ('# my language\nlanguage = "zh"\n', "zh"),
    "unknown": ('language = "xx"\n', "en"),
    "nothing": ("", "en"),
}


@pytest.fixture
def english() -> Iterator[None]:
    yield
    texts.use("en")


@pytest.mark.usefixtures("english", "home")
@pytest.mark.parametrize("name", FILES)
def test_the_language_is_the_one_of_the_settings(name: str) -> None:
    file = Paths.find().make().settings_file
    text, meant = FILES[name]
    file.write_text(text)
    language.choose()
    assert (texts.spoken(), SettingsFile(file).values.language) == (meant, meant)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """There is a terminal; and the collector, which the start pauses, goes on in our process."""
    monkeypatch.setattr(open_tui, "on_terminal", lambda: True)
    monkeypatch.setattr("gc.disable", lambda: None)
    return monkeypatch


@pytest.mark.usefixtures("home")
def test_without_arguments_the_same_program_opens(terminal: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []

    def opened(*given: Any, **named: Any) -> int:
        seen.append((given, named))
        return 7

    terminal.setattr("rwkv_chat.tui.app.run", opened)
    assert (__main__.started([]), run([])) == (7, 7)
    assert seen[0] == seen[1]


def test_without_arguments_errors_are_told_alike(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    def broken(*_: Any, **__: Any) -> int:
        raise FolderUnusable(str(home), "no")

    terminal.setattr("rwkv_chat.tui.app.run", broken)
    short = __main__.started([]), capsys.readouterr().err
    assert short == (run([]), capsys.readouterr().err)
    assert short[1].count("\n") == 1


def test_neither_the_help_nor_the_start_imports_what_it_can_do_without() -> None:
    code = "import sys; from rwkv_chat.cli import open_tui, ending; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"click", "platformdirs", "tomllib", "pathlib"}.isdisjoint(done.stdout.split())


async def test_the_house_is_kept_when_the_front_end_says_so(tmp_path: Path) -> None:
    session = await open_session(Paths.under(tmp_path), house=False)
    assert session._house is None
    session.keep_house()
    begun = session._house
    assert begun is not None
    session.keep_house()
    assert session._house is begun
    await session.close()
    assert begun.cancelled()


async def test_a_private_session_keeps_no_house(tmp_path: Path) -> None:
    session = await open_session(Paths.under(tmp_path), private=True)
    session.keep_house()
    assert session._house is None
    await session.close()
