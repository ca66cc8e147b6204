"""What an import loads, asked of a fresh interpreter: import contracts cannot see late imports.

The command line's help, the session and the terminal's first frame come before torch; the engine never sees a
front end.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "triton", "tokenizers", "safetensors", "pyrwkv_tokenizer", "rwkv", "huggingface_hub")
SHOWING = ("textual", "rich", "click")
APP = ("rwkv_chat",)

# What is imported, and what must not be loaded by it.
IMPORTS = {
    "engine": HEAVY + SHOWING + APP,
    "engine.types": HEAVY + SHOWING + APP + ("numpy",),
    "engine.errors": HEAVY + SHOWING + APP + ("numpy",),
    "engine.prefix": HEAVY + SHOWING + APP + ("numpy",),
    "engine.models.names": HEAVY + SHOWING + APP + ("numpy",),
    "engine.weights.recognise": HEAVY + SHOWING + APP + ("numpy",),
    "engine.bench": HEAVY + SHOWING + APP + ("numpy",),
    "engine.service": HEAVY + SHOWING + APP,
    "engine.tune": HEAVY + SHOWING + APP,
    "engine.tune.rows": HEAVY + SHOWING + APP,
    "engine.transfers": HEAVY + SHOWING + APP,
    "engine.weights.catalog": HEAVY + SHOWING + APP + ("numpy",),
    "engine.weights.download": HEAVY + SHOWING + APP + ("numpy",),
    "engine.weights.hub": HEAVY + SHOWING + APP + ("numpy",),
    "engine.weights.kinds": HEAVY + SHOWING + APP + ("numpy",),
    "engine.tokenizer": HEAVY + SHOWING + APP,
    "rwkv_chat": HEAVY + SHOWING,
    "rwkv_chat.paths": HEAVY + SHOWING,
    "rwkv_chat.settings": HEAVY + SHOWING,
    "rwkv_chat.settings_file": HEAVY + SHOWING,
    "rwkv_chat.templates": HEAVY + SHOWING,
    "rwkv_chat.explain": HEAVY + SHOWING,
    "rwkv_chat.plain_text": HEAVY + SHOWING,
    "rwkv_chat.library": HEAVY + SHOWING,
    "rwkv_chat.session": HEAVY + SHOWING,
    "rwkv_chat.doctor": HEAVY + SHOWING,
    "rwkv_chat.__main__": HEAVY + SHOWING,
    "rwkv_chat.cli.main": (*HEAVY, "textual", "rich", "asyncio", "sqlite3", "engine"),
    "rwkv_chat.cli.ask": (*HEAVY, "textual", "rich"),
    "rwkv_chat.cli.line_mode": (*HEAVY, "textual", "rich"),
    "rwkv_chat.cli.bench": (*HEAVY, "textual", "rich"),
    "rwkv_chat.cli.models": (*HEAVY, "textual", "rich", "asyncio", "sqlite3", "engine"),
    "rwkv_chat.cli.models_list": (*HEAVY, "textual", "rich"),
    "rwkv_chat.cli.models_pull": (*HEAVY, "textual", "rich"),
    "rwkv_chat.cli.models_convert": (*HEAVY, "textual", "rich"),
    "rwkv_chat.cli.tokens": (*HEAVY, "textual", "rich"),
    "rwkv_chat.cli.logits": (*HEAVY, "textual", "rich"),
    "rwkv_chat.cli.doctor": (*HEAVY, "textual", "rich"),
    "rwkv_chat.tui.app": (*HEAVY, "click"),
}

OPEN_AND_CLOSE = """
import asyncio
from rwkv_chat.session import open_session
async def go():
    session = await open_session()
    await session.chats.threads()
    await session.close()
asyncio.run(go())
"""
HELP = "from rwkv_chat.cli.main import run; assert run(['--help']) == 0"


# Several imports in one interpreter, since starting it costs most: what each loads beyond those before it.
ONE_BY_ONE = """
import importlib, json, sys
loaded, before = {{}}, set()
for name in {names!r}:
    importlib.import_module(name)
    loaded[name] = sorted(set(sys.modules) - before)
    before = set(sys.modules)
sys.stderr.write("\\n" + json.dumps(loaded))
"""


def told(code: str, home: Path) -> Any:
    """What `code` writes in JSON as its last line on stderr, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"RWKV_CHAT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.splitlines()[-1])


def loaded_by(code: str, home: Path) -> set[str]:
    """Names of the modules loaded after `code` ran in a fresh interpreter."""
    return set(told(f"{code}\nimport sys, json; sys.stderr.write(json.dumps(sorted(sys.modules)))", home))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What each import loads; those that must not load the same share an interpreter.

    None can hide behind one before it: what that one loaded is forbidden to it as well.
    """
    home, found = tmp_path_factory.mktemp("home"), {}
    for heavy in dict.fromkeys(IMPORTS.values()):
        names = [module for module, forbidden in IMPORTS.items() if forbidden == heavy]
        found |= told(ONE_BY_ONE.format(names=names), home)
    return {module: set(names) for module, names in found.items()}


@pytest.mark.parametrize("module", IMPORTS)
def test_an_import_loads_nothing_heavy(module: str, loaded: dict[str, set[str]]) -> None:
    assert loaded[module].isdisjoint(IMPORTS[module])


def test_whoever_loads_something_heavy_is_named(tmp_path: Path) -> None:
    found = told(ONE_BY_ONE.format(names=["engine.types", "numpy", "engine.prefix"]), tmp_path)
    assert [name for name in found if "numpy" in found[name]] == ["numpy"]
    assert "engine.prefix" in found["engine.prefix"]


@pytest.mark.parametrize("code", [OPEN_AND_CLOSE, HELP], ids=["session", "help"])
def test_neither_a_session_nor_the_help_loads_torch(code: str, tmp_path: Path) -> None:
    assert loaded_by(code, tmp_path).isdisjoint(HEAVY)


SOURCES = sorted(each for part in ("engine", "rwkv_chat") for each in (ROOT / part).rglob("*.py"))

# Who may: what is looked for in the source, and where it may stand.
ONLY_IN = {
    # the second sets another program's switches, in a process of that program's own
    "environment variables": (
        r"os\.environ|\bgetenv\b|expandvars|import environ",
        ("rwkv_chat/paths.py", "engine/bench/peer_process.py"),
    ),
    "SQL": (r"\.(?:execute|executemany|executescript)\(|sqlite3\.connect", ("rwkv_chat/library/",)),
    "printing": (
        r"^\s*print\(|sys\.std(?:out|err)\.write",
        ("rwkv_chat/cli/", "rwkv_chat/demo/", "engine/bench/__main__.py"),
    ),
}


@pytest.mark.parametrize("what", ONLY_IN)
def test_some_things_are_done_in_one_place(what: str) -> None:
    pattern, places = ONLY_IN[what]
    found = {each.relative_to(ROOT).as_posix() for each in SOURCES if _has(each, pattern)}
    assert found, "the pattern finds nothing: it proves nothing"
    assert [each for each in sorted(found) if not each.startswith(places)] == []


def _has(source: Path, pattern: str) -> bool:
    return re.search(pattern, source.read_text("utf-8"), re.MULTILINE) is not None


def test_the_question_is_asked_rightly(tmp_path: Path) -> None:
    assert "safetensors" in loaded_by("import safetensors", tmp_path)
