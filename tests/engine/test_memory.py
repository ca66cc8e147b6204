"""Main memory is read from the system's tables, and a container's limit counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine import memory

if TYPE_CHECKING:
    from pathlib import Path


def test_the_systems_table(tmp_path: Path) -> None:
    table = tmp_path / "meminfo"
    table.write_text("MemTotal:       2000 kB\nMemAvailable:   1000 kB\n")
    assert memory._meminfo("MemAvailable", table) == 1_024_000
    assert memory._meminfo("Missing", table) is None
    assert memory._meminfo("MemTotal", tmp_path / "none") is None
    assert (memory.total_bytes() or 0) >= (memory.available_bytes() or 0) > 0


def make_group(folder: Path, limit: str, used: int, cached: int, names: tuple[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    prefix = "" if names[0] == "memory.max" else "total_"
    (folder / "memory.stat").write_text(f"anon 7\n{prefix}inactive_file {cached}\n{prefix}active_file 1\n")


@pytest.mark.parametrize(
    ("line", "root", "names"),
    [
        ("0::/a/b", ".", ("memory.max", "memory.current")),
        ("4:cpu,memory:/a/b", "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
    ],
    ids=["v2", "v1"],
)
def test_the_tightest_group_decides(
    line: str, root: str, names: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits may stand at any level; cached file pages can be had back."""
    make_group(tmp_path / root / "a", "1000", 600, 49, names)
    make_group(tmp_path / root / "a" / "b", "max", 0, 0, names)
    make_group(tmp_path / root, "5000", 600, 0, names)
    (tmp_path / "ours").write_text(f"3:cpuset:/elsewhere\n{line}\nnonsense\n")
    groups = memory._groups(tmp_path / "ours", tmp_path)
    assert [memory._room(folder, *found) for folder, found in groups] == [None, 450, 4401]
    monkeypatch.setattr(memory, "_groups", lambda: groups)
    assert memory.available_bytes() == 450


def test_a_group_beyond_its_limit_leaves_nothing(tmp_path: Path) -> None:
    names = ("memory.max", "memory.current")
    make_group(tmp_path, "1000", 1600, 0, names)
    assert memory._room(tmp_path, *names, ("inactive_file",)) == 0


def test_without_groups_the_machine_decides(tmp_path: Path) -> None:
    assert memory._groups(tmp_path / "none") == []
