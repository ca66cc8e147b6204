"""A wheel installed in another folder is whole, and so is an editable install. No network is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from sysconfig import get_path

import pytest

from rwkv_chat import __version__

ROOT = Path(__file__).parents[2]
LARGEST = 20_000_000  # bytes: 16 MB of model, and the program
INSIDE = """
import json, sys
import engine, rwkv_chat
from rwkv_chat import templates
from rwkv_chat.paths import resource
from rwkv_chat.session.cards import builtin
from rwkv_chat.texts import say
print(json.dumps({
    "homes": [rwkv_chat.__file__, engine.__file__],
    "prompts": str(resource("prompts")),
    "templates": templates.names(),
    "model": [str(builtin().path), builtin().path.is_file()],
    "text": say("app.title"),
}))
"""


def python(*arguments: str, cwd: Path, env: dict[str, str]) -> str:
    """Run the interpreter elsewhere; its stdout."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=plain | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, so that building writes nothing into this tree."""
    copy = tmp_path_factory.mktemp("sources") / "rwkv-chat"
    ignore = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "tests", "dist", "build", "runs")
    return shutil.copytree(ROOT, copy, ignore=ignore)


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), ".", cwd=sources, env={})
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing but this package; the sources it came from are gone."""
    target = tmp_path_factory.mktemp("installed")
    pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--target",
        str(target),
    ]
    python(*pip, str(wheel), cwd=target, env={})
    return target


def test_what_a_wheel_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        top = {name.split("/", maxsplit=1)[0] for name in names}
        metadata = archive.read(f"rwkv_chat-{__version__}.dist-info/METADATA").decode()
    assert top == {"engine", "rwkv_chat", f"rwkv_chat-{__version__}.dist-info"}
    for file in ROOT.glob("prompts/**/*.toml"):
        assert f"rwkv_chat/_data/{file.relative_to(ROOT).as_posix()}" in names
    for pattern in ("rwkv_chat/**/*.toml", "rwkv_chat/**/*.tcss", "rwkv_chat/**/*.py", "engine/**/*.py"):
        for file in ROOT.glob(pattern):
            assert file.relative_to(ROOT).as_posix() in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert f"Version: {__version__}" in metadata
    assert wheel.stat().st_size <= LARGEST


def test_the_version_stands_in_one_sentence_twice() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__


def test_a_wheel_in_another_folder_is_whole(installed: Path, tmp_path: Path) -> None:
    found = json.loads(python("-c", INSIDE, cwd=tmp_path, env={"PYTHONPATH": str(installed)}))
    assert all(Path(home).is_relative_to(installed) for home in found["homes"])
    assert Path(found["prompts"]) == installed / "rwkv_chat" / "_data" / "prompts"
    assert "classic" in found["templates"]
    assert found["model"] == [str(installed / "rwkv_chat/_data/assets/demo/demo.safetensors"), True]
    assert found["text"]


def test_its_commands_work_there(installed: Path, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(installed), "RWKV_CHAT_HOME": str(tmp_path / "home")}
    assert python("-m", "rwkv_chat", "tokens", "hi", cwd=tmp_path, env=env).endswith("b'hi'\n")
    script = next(iter((installed / "bin").glob("rwkv-chat*")))
    assert python(str(script), "--version", cwd=tmp_path, env=env) == f"rwkv-chat {__version__}\n"
    checks = json.loads(python("-m", "rwkv_chat", "doctor", "--json", cwd=tmp_path, env=env))
    assert checks["ok"], [each for each in checks["checks"] if each["status"] == "problem"]


def test_the_built_in_model_answers_there(installed: Path, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(installed), "RWKV_CHAT_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    line = ["-m", "rwkv_chat", "ask", "Hello", "--max-tokens", "8", "--temperature", "0"]
    assert python(*line, cwd=tmp_path, env=env).strip()


def test_an_editable_install_uses_the_sources(sources: Path, tmp_path: Path) -> None:
    """The wheel that `pip install -e` makes, in a site folder of its own."""
    make = f"import hatchling.build as b; print(b.build_editable({str(tmp_path)!r}))"
    name = python("-c", make, cwd=sources, env={}).splitlines()[-1]
    site = tmp_path / "site"
    with zipfile.ZipFile(tmp_path / name) as archive:
        archive.extractall(site)
    # -S: the packages of these tests, but not the editable install that may stand beside them.
    begin = f"import site, sys; site.addsitedir({str(site)!r}); sys.path.append({get_path('purelib')!r})"
    found = json.loads(python("-S", "-c", f"{begin}\n{INSIDE}", cwd=tmp_path, env={}))
    assert found["homes"] == [str(sources / each / "__init__.py") for each in ("rwkv_chat", "engine")]
    assert Path(found["prompts"]) == sources / "prompts"
    assert found["model"] == [str(sources / "assets/demo/demo.safetensors"), True]
