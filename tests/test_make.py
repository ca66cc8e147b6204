"""`make` finds a fitting Python, says in one sentence when there is none, and installs only what changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALL = " install -e ."


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    line = ["make", "-s", *arguments]
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def interpreter(folder: Path, script: str) -> str:
    """A program that stands for a Python."""
    path = folder / "python-stub"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_the_makefile_takes_the_same_pythons_as_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert project["requires-python"] == f">={named[0]}"
    for each in named:
        assert f"python{each}" in makefile
    low, high = (each.replace(".", ", ") for each in (named[0], named[-1]))
    assert f"({low}) <= sys.version_info[:2] <= ({high})" in makefile


def test_make_explains_itself() -> None:
    shown = make().stdout
    for target in ("chat", "test", "test-long", "lint", "demo-model", "clean"):
        assert f"make {target}" in shown


@pytest.mark.parametrize("script", ["exit 1", "exit 127", f"exec {sys.executable} -c 'raise SystemExit(1)'"])
def test_without_a_fitting_python_there_is_one_sentence(tmp_path: Path, script: str) -> None:
    venv = tmp_path / "venv"
    done = make("chat", f"VENV={venv}", f"PYTHON={interpreter(tmp_path, script)}")
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("No CPython 3.11, 3.12, 3.13 or 3.14 was found")
    assert not venv.exists()


def test_a_python_without_its_venv_module_is_named(tmp_path: Path) -> None:
    stub = interpreter(tmp_path, f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    done = make("test", f"VENV={tmp_path / 'venv'}", f"PYTHON={stub}")
    assert done.returncode != 0
    assert f"{stub} is here, but its venv module is not" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(("target", "extra"), [("chat", 0), ("test", 1)])
def test_what_will_be_downloaded_is_said_before_it_is(tmp_path: Path, target: str, extra: int) -> None:
    """A stand-in for the environment's Python: it has nothing yet, and tells what pip is asked."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    told = (
        'case "$*" in *" install -e"*) echo "PIP $*";; *"import torch"*|*"import hypothesis"*) exit 1;; esac'
    )
    Path(interpreter(tmp_path, told)).rename(venv / "bin" / "python")
    lines = make(target, f"VENV={venv}", "PYTHON=false").stdout.splitlines()  # no other Python is tried
    asked = next(at for at, line in enumerate(lines) if line.startswith("PIP"))
    said = "\n".join(lines[:asked])
    assert "pip will now download torch" in said
    assert re.search(r"about [\d.]+ [MG]B", said)
    assert said.count("pyright") == extra


def test_a_second_call_installs_nothing_and_a_changed_pyproject_does(tmp_path: Path) -> None:
    """`make -n` tells what would be run; the stamps stand for an install that was done."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    assert INSTALL in make("-n", "chat", f"VENV={venv}").stdout
    (venv / ".chat").touch()
    assert INSTALL not in make("-n", "chat", f"VENV={venv}").stdout
    assert INSTALL in make("-n", "chat", f"VENV={venv}", "-W", "pyproject.toml").stdout
    (venv / "bin" / "python").unlink()
    assert INSTALL in make("-n", "chat", f"VENV={venv}").stdout
