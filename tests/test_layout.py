"""The repository's top stays small: what a reader sees first has one place each."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "assets",
    "engine",
    "prompts",
    "pyproject.toml",
    "rwkv_chat",
    "tests",
}
LARGEST_FILE = 16_000_000  # bytes


def tracked() -> list[Path]:
    """What the repository holds."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout: an unpacked source archive has no list of files")
    return [Path(each) for each in done.stdout.split("\0") if each]


def test_the_top_holds_what_it_should() -> None:
    assert {each.parts[0] for each in tracked()} == TOP


def test_no_file_is_large() -> None:
    """History keeps every copy."""
    sizes = {each: (ROOT / each).stat().st_size for each in tracked() if (ROOT / each).exists()}
    assert [each for each, size in sizes.items() if size > LARGEST_FILE] == []


def test_no_index_is_named_anywhere() -> None:
    """pip takes what the person's own configuration offers."""
    for name in ("pyproject.toml", "Makefile", ".ci/run"):
        assert not re.search(r"index-url|find-links|--no-index", (ROOT / name).read_text("utf-8"))


def test_ci_runs_what_a_person_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text("utf-8")


def test_the_makefile_takes_the_same_pythons_as_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert project["requires-python"] == f">={named[0]}"
    for each in named:
        assert f"python{each}" in makefile
    low, high = (each.replace(".", ", ") for each in (named[0], named[-1]))
    assert f"({low}) <= sys.version_info[:2] <= ({high})" in makefile


def test_make_explains_itself_and_needs_a_python() -> None:
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("chat", "test", "test-long", "lint", "demo-model", "clean"):
        assert f"make {target}" in shown
