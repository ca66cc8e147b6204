"""The command line as a whole: help, version, exit codes, streams. Commands have their own files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rwkv_chat import __version__
from rwkv_chat.cli import output
from rwkv_chat.cli.commands import COMMANDS
from rwkv_chat.texts import lookup

if TYPE_CHECKING:
    from tests.chat.command_line import Cli

ROOT = Path(__file__).parents[2]


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A real command line in bash, `rwkv-chat` standing for this source tree."""
    script = f'rwkv-chat() {{ "{sys.executable}" -m rwkv_chat "$@"; }}; set -o pipefail; {line}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_lists_every_command_with_its_text(cli: Cli) -> None:
    said = cli("--help")
    assert (said.code, said.err) == (0, "")
    for row in COMMANDS:
        assert f"  {row.name}" in said.out
        assert (lookup(f"commands.{row.name}.short") or "?")[:30] in said.out
    for code in ("0", "1", "2", "3", "4", "130"):
        assert f"\n    {code} " in said.out


@pytest.mark.parametrize("name", [row.name for row in COMMANDS])
def test_every_command_explains_itself(cli: Cli, name: str) -> None:
    said = cli(name, "-h")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: rwkv-chat {name} ")


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"rwkv-chat {__version__}\n"


@pytest.mark.parametrize("arguments", [("nope",), ("ask", "--nope"), ("logits",), ("--model",)])
def test_a_wrong_line_is_2_and_stderr_only(cli: Cli, arguments: tuple[str, ...]) -> None:
    said = cli(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(("Usage:", "rwkv-chat: "))


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(("modles",), "models"), (("models", "pul"), "pull"), (("xyzzy",), ""), (("models", "xyzzy"), "")],
)
def test_a_mistyped_command_names_the_one_that_was_meant(
    cli: Cli, arguments: tuple[str, ...], meant: str
) -> None:
    said = cli(*arguments)
    assert (said.code, said.out) == (2, "")
    assert ("Did you mean" in said.err) == bool(meant)
    assert (f"Did you mean {meant}?" in said.err) == bool(meant)


def test_the_full_screen_program_needs_a_terminal(cli: Cli) -> None:
    for arguments in ((), ("chat",)):
        said = cli(*arguments)
        assert (said.code, said.out) == (2, "")
        assert "--plain" in said.err


@pytest.mark.parametrize("arguments", [(), ("chat",), ("chat", "--plain"), ("ask", "Hi")])
def test_a_missing_model_is_3(cli: Cli, arguments: tuple[str, ...]) -> None:
    said = cli("--model", "/nowhere/x.pth", *arguments)
    assert (said.code, said.out) == (3, "")
    assert "/nowhere/x.pth" in said.err


def test_what_an_argument_holds_cannot_steer_the_terminal(cli: Cli) -> None:
    said = cli("\x1b]0;owned\x07")
    assert said.code == 2
    assert "\x1b" not in said.err


def test_a_reader_who_leaves_is_no_error() -> None:
    done = shell("rwkv-chat tokens \"$(printf 'word %.0s' {1..9000})\" | head -1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


def test_a_full_disk_is_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = shell("rwkv-chat tokens hi >/dev/full")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


def test_closed_streams_are_no_error() -> None:
    assert shell("rwkv-chat tokens hi <&- >&-").returncode == 0
    done = shell("rwkv-chat ask <&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    assert shell("rwkv-chat tokens - <&-").stdout == ""


def test_a_narrow_encoding_is_no_error() -> None:
    done = shell("rwkv-chat tokens 你好", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "10464" in done.stdout


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None: ...


def test_results_are_cleaned_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    output.result("\x1b[2Jhi\u202e", end="")
    assert capsys.readouterr().out == "\x1b[2Jhi\u202e"
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    output.result("\x1b[2Jhi\u202e", end="")
    assert terminal.text == "[2Jhi‹U+202E›"


def test_remarks_are_always_cleaned_and_never_fail(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    output.note("\x1b[2Jhi")
    assert capsys.readouterr().err == "[2Jhi\n"
    closed = Path(os.devnull).open("w")  # noqa: SIM115
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    output.note("nobody listens")


def test_help_is_quick() -> None:
    """At most twice the time of importing click (measured together, the best of several)."""
    ours, click = (
        min(_seconds(arguments) for _ in range(7))
        for arguments in (["-m", "rwkv_chat", "--help"], ["-c", "import click"])
    )
    assert ours <= 2 * click, f"{ours:.3f} s, and {click:.3f} s for click alone"


def _seconds(arguments: list[str]) -> float:
    """Processor seconds, so that a busy machine does not decide."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
