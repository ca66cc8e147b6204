"""The command line as processes of its own, on the real engine with a tiny random model: pipes, a terminal,
and the signals that end programs.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.plain_text import clean
from tests.chat.real import model_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chat.command_line import Cli

ROOT = Path(__file__).parents[2]
ENDLESS = ("--temperature", "0", "--max-tokens", "1000000")  # the tiny model goes round in circles
SHORT = ("--max-tokens", "40")
PATIENCE = 60.0  # seconds until a process that does not answer counts as hanging
posix = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model_folder(tmp_path_factory.mktemp("model")))


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return os.environ | {"RWKV_CHAT_HOME": str(home), "OMP_NUM_THREADS": "1", "TERM": "dumb"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "rwkv_chat", *arguments]


def test_the_same_seed_gives_the_same_answer(model: str, cli: Cli) -> None:
    seeds = (5, 5, 6)
    said = [cli("--model", model, "ask", "Hi", "--json", "--seed", str(seed), *SHORT) for seed in seeds]
    answers = [json.loads(each.out)["answer"] for each in said]
    assert answers[0] == answers[1] != answers[2]


def test_a_tuned_state_changes_the_answer_and_another_models_is_refused(
    model: str, cli: Cli, tmp_path: Path
) -> None:
    import torch

    from engine.weights.export_tuned import write_tuned_state
    from engine.weights.load import read_spec

    spec = read_spec(model)
    shape = spec.n_head, spec.head_size, spec.head_size
    write_tuned_state(tmp_path / "s.pth", {i: torch.randn(shape) * 3 for i in range(spec.n_layer)})
    write_tuned_state(tmp_path / "large.pth", {0: torch.zeros(shape)})
    line = ("--model", model, "ask", "Hi", "--json", "--temperature", "0", *SHORT)
    plain, tuned, again = (cli(*line, *more) for more in ([], *[["--state", str(tmp_path / "s.pth")]] * 2))
    answers = [json.loads(each.out)["answer"] for each in (plain, tuned, again)]
    assert answers[0] != answers[1] == answers[2]
    refused = cli(*line, "--state", str(tmp_path / "large.pth"))
    assert (refused.code, refused.out) == (1, "")
    assert f"{spec.n_layer} layers" in refused.err


def test_a_conversation_through_pipes_goes_on_later(model: str, cli: Cli) -> None:
    line = ("chat", "--plain", "--model", model, "--temperature", "0", *SHORT)
    whole = cli(*line, stdin="one\ntwo\n")
    first = cli(*line, stdin="one\n")
    second = cli(*line, stdin="/open 1\ntwo\n")
    assert (whole.code, first.code, second.code) == (0, 0, 0), second.err
    assert whole.out.startswith(first.out)
    assert whole.out.removeprefix(first.out)
    assert second.out.endswith(whole.out.removeprefix(first.out))


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_an_answer_and_keeps_it(
    model: str, env: dict[str, str], cli: Cli, number: signal.Signals, code: int
) -> None:
    line = command("--model", model, "ask", "Hi", "--save", *ENDLESS)
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        line, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, bufsize=0
    )
    assert process.stdout is not None
    begun = process.stdout.read(20)
    process.send_signal(number)
    rest, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, said
    assert b"Traceback" not in said
    kept = cli("chat", "--plain", "--model", model, stdin="/open 1\n").out
    assert (begun + rest).decode().strip() in kept


# ------------------------------------------------------------------------------------------------ a terminal


class Terminal:
    """A process on a pseudo-terminal."""

    def __init__(self, arguments: list[str], env: dict[str, str]) -> None:
        import pty

        ours, theirs = pty.openpty()
        self.fd, self.seen = ours, ""
        self.process = subprocess.Popen(
            command(*arguments),
            cwd=ROOT,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def wait_for(self, pattern: str) -> None:
        """Read until `pattern` is on the screen after what was waited for before."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, self.seen
            if select.select([self.fd], [], [], 0.2)[0]:
                self.seen += self._read()
        self.seen = self.seen[found.end() :]

    def _read(self) -> str:
        try:
            return os.read(self.fd, 65536).decode("utf-8", "replace")
        except OSError:  # the other side is closed
            pytest.fail(f"it ended: {self.seen}")

    def press_ctrl_c_until_it_ends(self) -> int:
        """readline misses a signal between showing its prompt and waiting for keys: people press again."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            os.kill(self.process.pid, signal.SIGINT)
            try:
                return self.process.wait(10)
            except subprocess.TimeoutExpired:
                continue
        pytest.fail(f"it goes on: {self.seen}")

    def rest(self) -> str:
        """Everything until the process ends."""
        whole = b""
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # Linux says it this way
                data = b""
            if not data:
                return whole.decode()
            whole += data

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.fd)


@pytest.fixture
def line_mode(model: str, env: dict[str, str]) -> Iterator[Terminal]:
    terminal = Terminal(["chat", "--plain", "--model", model, *ENDLESS], env)
    yield terminal
    terminal.close()


@posix
def test_line_mode_on_a_terminal(line_mode: Terminal) -> None:
    line_mode.wait_for("You: ")
    line_mode.type("/nope\n")
    line_mode.wait_for(r"There is no command /nope; [^\n]*\n")
    line_mode.wait_for("You: ")
    line_mode.type("Hello\n")
    # the first words of the reply, whether the model was there already or not
    line_mode.wait_for(r"tiny: (?:Loading tiny …\s+\S|(?!Loading tiny …)[\s\S]{15})")
    os.kill(line_mode.process.pid, signal.SIGINT)  # stops the reply, not the program
    line_mode.wait_for(r"Stopped; [^\n]*\n")
    line_mode.wait_for("You: ")
    line_mode.type("/quit\n")
    assert line_mode.process.wait(PATIENCE) == 0


@posix
def test_ctrl_c_at_the_prompt_leaves(line_mode: Terminal) -> None:
    line_mode.wait_for("You: ")
    assert line_mode.press_ctrl_c_until_it_ends() == 130


@posix
def test_the_end_of_input_leaves(line_mode: Terminal) -> None:
    line_mode.wait_for("You: ")
    line_mode.type("\x04")
    assert line_mode.process.wait(PATIENCE) == 0


@posix
def test_an_answer_on_a_terminal_holds_no_controls(model: str, env: dict[str, str], cli: Cli) -> None:
    line = ("--model", model, "ask", "Hi", "--seed", "1", "--temperature", "3", "--top-p", "1", *SHORT)
    answer = json.loads(cli(*line, "--json").out)["answer"]
    assert answer != clean(answer)
    terminal = Terminal([*line], env)
    try:
        shown = terminal.rest().replace("\r\n", "\n")
    finally:
        terminal.close()
    assert clean(answer).rstrip("\n") + "\n" in shown
