"""The repository's top stays small: what a reader sees first has one place each."""

from __future__ import annotations

import os
import re
import subprocess
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
