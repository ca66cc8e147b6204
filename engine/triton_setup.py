"""How Triton is set up here: our cache folder, nothing from the environment, many compilers at once.

What Triton would take from an environment variable is set to Triton's own default; what changes numbers is
given with each launch besides.
"""

from __future__ import annotations

import functools
import importlib
import json
import logging
import os
import pkgutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import ops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

log = logging.getLogger("engine")

FOLDER = Path("kernels") / "compiled"
MOST_PROCESSES = 16
PATIENCE = 300.0  # seconds for compilers that run beside this process; then it compiles by itself

CHILD = "import json, sys; job = json.load(sys.stdin); sys.path[:] = job['path']; "
CHILD += "from engine.triton_child import compile_all; compile_all(job)"

# One kernel to compile: its module, its name, and what Triton says of its arguments and options.
Wanted = tuple[str, str, str]


def settle(cache: Path | None) -> None:
    """Sets Triton up for this process. `cache`: the app's cache folder; None: Triton's own folder."""
    from triton import knobs

    knobs.propagate_env = False  # what is set here is no child's business
    if cache:
        knobs.cache.dir = str(cache / FOLDER)
    knobs.compilation.override = False
    knobs.compilation.enable_asan = False
    knobs.compilation.instrumentation_mode = ""
    knobs.language.default_fp_fusion = True
    knobs.language.fp32_default = "tf32"
    knobs.nvidia.disable_ptxas_opt = False
    knobs.nvidia.ptxas_options = None
    knobs.runtime.debug = False
    name_kernels()


@functools.cache
def name_kernels() -> None:
    """Has Triton make every kernel's cache key in one order: that of first use would change the keys."""
    from triton.runtime.jit import JITFunction

    for found in sorted(_modules(), key=lambda each: each.__name__):
        for _, kernel in sorted(vars(found).items(), key=lambda item: item[0]):
            if isinstance(kernel, JITFunction) and kernel.fn.__module__ == found.__name__:
                _ = kernel.cache_key


def _modules() -> Iterator[ModuleType]:
    """Every module of ours that may hold kernels."""
    for each in pkgutil.walk_packages(ops.__path__, f"{ops.__name__}."):
        if each.name.rpartition(".")[2].startswith("triton_"):
            yield importlib.import_module(each.name)


def compile_ahead(launch: Callable[[], object], cache: Path | None, mark: str) -> int:
    """Compiles what `launch` would compile, in several processes; returns how many kernels that were.

    Args:
        launch: launches kernels; nothing of it runs on the card but what is not Triton's.
        mark: names the work; what has been done once is not done again.
    """
    if cache is None:
        return 0
    done = cache / FOLDER / f"{mark}.done"
    if done.exists():
        return 0
    wanted = collect(launch)
    if _compile(wanted, cache):
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()
    return len(wanted)


def collect(launch: Callable[[], object]) -> list[Wanted]:
    """The kernels that `launch` asks for and that this process has not loaded; none of them runs."""
    from triton import knobs

    found: dict[str, Wanted] = {}

    def note(*, fn: Any, compile: Any, **_: Any) -> bool:  # noqa: A002  Triton's name for it
        function = fn.jit_function.fn
        data = compile["specialization_data"]
        found[data] = (function.__module__, function.__qualname__, data)
        return True  # neither compile nor launch

    before, knobs.runtime.jit_cache_hook = knobs.runtime.jit_cache_hook, note
    try:
        launch()
    finally:
        knobs.runtime.jit_cache_hook = before
    return list(found.values())


def _compile(wanted: list[Wanted], cache: Path) -> bool:
    """Whether all were compiled; what was not, this process will compile when it launches it."""
    processes = min(MOST_PROCESSES, os.cpu_count() or 1, len(wanted))
    if processes < 2:
        return not wanted
    children = [_child(wanted[first::processes], cache) for first in range(processes)]
    ended = [_ended(each) for each in children]  # all of them, whatever the first one says
    return all(ended)


def _child(wanted: Iterable[Wanted], cache: Path) -> subprocess.Popen[str]:
    from triton.runtime.driver import driver

    active: Any = driver.active
    job = {
        "path": sys.path,
        "cache": str(cache),
        "target": asdict(active.get_current_target()),
        "kernels": list(wanted),
    }
    child = subprocess.Popen(  # noqa: S603  our own interpreter and module
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    _tell(child, json.dumps(job))
    return child


def _tell(child: subprocess.Popen[str], job: str) -> None:
    if child.stdin:
        try:
            child.stdin.write(job)
            child.stdin.close()
        except OSError:  # it has ended already, and says why in its stderr
            pass
        child.stdin = None


def _ended(child: subprocess.Popen[str]) -> bool:
    try:
        _, said = child.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        _, said = child.communicate()
    if child.returncode:
        log.warning("kernels were not compiled ahead: %s", said[-2000:])
    return child.returncode == 0
