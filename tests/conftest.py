"""Shared by all tests: a private data folder, no network, samples with a seed, and seconds per part.

Kernels run in Triton's interpreter on the CPU, but for tests marked gpu: `-m gpu` runs
them, and them alone.

`--long` runs the large counts (make test-long). A test with a large count asks for it through `sample`:

    def test_any_kill(sample): for seed in range(sample("kills", 5, 200)): …

and the closing report says how large each sample was.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import tempfile
from collections import defaultdict
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

from tests.children import warm
from tests.interpreter import quicken

# Before anything of ours is imported: no test may read a developer's chats, or the network.
_HOME = tempfile.TemporaryDirectory(prefix="rwkv-chat-tests-", ignore_cleanup_errors=True)
os.environ["RWKV_CHAT_HOME"] = _HOME.name
os.environ["HF_HUB_OFFLINE"] = "1"
# Hundreds of processes are begun here, which all would compile the program anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Tiny tensors: a second thread costs more than it computes, and on a busy machine a hundred times more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for _name in ("NO_COLOR", "FORCE_COLOR", "TEXTUAL_DEBUG", "COLUMNS", "LINES"):
    os.environ.pop(_name, None)

# Where a test's time is counted: the first row whose prefix fits its path under tests/.
PARTS = (
    ("tuning", "engine/test_tune"),
    *(
        ("kernels", f"engine/test_{name}")
        for name in ("wkv", "chain7", "compile", "decode_", "fused7", "packed")
    ),
    ("engine", "engine/"),
    ("demo", "chat/test_demo"),
    ("app", "chat/"),
    ("terminal", "tui/"),
    ("checks", ""),
)

# What takes long though it is one test or few: begun first, where several processes test (`--dist loadfile`
# hands out whole files), so that nobody waits for them at the end.
FIRST = (
    "tests/test_checks.py",
    "tests/engine/test_compile.py",
    "tests/engine/test_tune_bars.py",
    "tests/tui/test_library_screen.py",
    "tests/tui/test_models_screen.py",
    "tests/chat/test_kill.py",
)

EXAMPLES = {"sample": 60, "long": 2000}
settings.register_profile(
    "sample", max_examples=EXAMPLES["sample"], deadline=None, derandomize=True, database=None
)
settings.register_profile("long", max_examples=EXAMPLES["long"], deadline=None, print_blob=True)


class Sample(Protocol):
    """`sample(what, few, many)`: how often to repeat in this run; `few` normally, `many` with --long."""

    def __call__(self, what: str, few: int, many: int) -> int: ...


_samples: dict[str, tuple[int, int]] = {}
_seconds: defaultdict[str, float] = defaultdict(float)
_counts: defaultdict[str, int] = defaultdict(int)


def part_of(nodeid: str) -> str:
    """The part that a test belongs to."""
    path = nodeid.split("::", maxsplit=1)[0].removeprefix("tests/")
    return next(part for part, prefix in PARTS if path.startswith(prefix))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the large counts: minutes to hours")


def pytest_configure(config: pytest.Config) -> None:
    # A shell may start a background job with Ctrl-C ignored, and what a test starts would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("long" if config.getoption("--long") else "sample")
    if not _on_gpu(config):
        os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel's module is imported


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where several processes test, each of which needs all files: they begin at different ones, so that what
    one has compiled the others read.
    """
    its = getattr(session.config, "workerinput", None)
    if its is None:
        return
    here = Path(__file__).parent
    asked = {Path(each.partition("::")[0]).resolve() for each in session.config.args}
    files = [each for each in sorted(here.rglob("test_*.py")) if asked & {each, *each.parents}]
    first = sorted({file.with_name("conftest.py") for file in files} & {*here.rglob("conftest.py")})
    begin = len(files) * int(its["workerid"].removeprefix("gw")) // int(its["workercount"])
    for file in (*first, *files[begin:], *files[:begin]):
        with suppress(Exception, pytest.skip.Exception):  # told when the file is collected
            import_module(".".join(file.relative_to(here.parent).with_suffix("").parts))


def _on_gpu(config: pytest.Config) -> bool:
    """Whether tests marked gpu are asked for: kernels are compiled in this process, not interpreted."""
    return config.getoption("markexpr") == "gpu"


def pytest_collection_finish() -> None:
    """What is imported by now stays; to look for garbage in it takes a third of the terminal's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    if "triton.runtime.interpreter" in sys.modules:
        quicken()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that only exist as large counts, and those of a GPU (`_on_gpu`); long files first."""
    items.sort(key=_turn)
    unwanted = [] if config.getoption("--long") else ["long"]
    unwanted += [] if _on_gpu(config) else ["gpu"]
    left_out = [each for each in items if any(map(each.get_closest_marker, unwanted))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [each for each in items if each not in left_out]


def _turn(item: pytest.Item) -> int:
    path = item.nodeid.split("::", maxsplit=1)[0]
    return FIRST.index(path) if path in FIRST else len(FIRST)


@pytest.fixture
def sample(request: pytest.FixtureRequest) -> Sample:
    """How often a repeated test repeats; the number is printed at the end."""

    def count(what: str, few: int, many: int) -> int:
        chosen = many if request.config.getoption("--long") else few
        request.node.user_properties.append(("sample", (what, chosen, many)))
        return chosen

    return count


@pytest.fixture
def room(request: pytest.FixtureRequest) -> float:
    """What a measured bar is multiplied with: 1 with --long, which wants a quiet machine.

    In the short run two processes test at once, on machines that do other work too: there a bar only tells
    what has become much slower.
    """
    return 1.0 if request.config.getoption("--long") else 2.0


@pytest.fixture(scope="session", autouse=True)
def warm_workers() -> None:
    """Engines in a process begin with torch loaded; with `spawned`, they begin as in the program."""
    from engine import worker_process

    worker_process.START = warm()


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's process is started as the program starts it."""
    monkeypatch.setattr("engine.worker_process.START", multiprocessing.get_context("spawn"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh data folder for one test, named by RWKV_CHAT_HOME (subprocesses inherit it)."""
    folder = tmp_path / "home"
    monkeypatch.setenv("RWKV_CHAT_HOME", str(folder))
    return folder


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    part = part_of(report.nodeid)
    _seconds[part] += report.duration
    _counts[part] += report.when == "call"
    for name, its in report.user_properties:  # they come from another process where several run
        if name == "sample" and isinstance(its, tuple | list):
            what, chosen, many = its
            _samples[str(what)] = (chosen, many)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Seconds per part and the size of every sample, above pytest's closing line."""
    write = terminalreporter.write_line
    profile = "long" if config.getoption("--long") else "sample"
    for part in dict.fromkeys(part for part, _ in PARTS):
        if _counts[part]:
            write(f"{part:10} {_seconds[part]:7.1f} s  {_counts[part]} tests")
    write(f"sample: {EXAMPLES[profile]} of {EXAMPLES['long']} examples per property (hypothesis)")
    for what, (chosen, many) in _samples.items():
        write(f"sample: {chosen:,} of {many:,} {what}")
