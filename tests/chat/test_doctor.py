"""doctor tells what is there and what is wrong, and changes nothing."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rwkv_chat import doctor
from rwkv_chat.doctor import GROUPS, devices, disk, memory, model, versions
from rwkv_chat.library.database import connect
from rwkv_chat.paths import Paths
from rwkv_chat.texts import lookup
from tests.engine.samples import SAMPLES, spec_of
from tests.engine.tiny import checkpoint, spec

if TYPE_CHECKING:
    from rwkv_chat.doctor.finding import Finding
    from tests.chat.command_line import Cli, Said

ROOT = Path(__file__).parents[2]
WORLD = 65536


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model for the World tokenizer."""
    return checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors", spec(vocab_size=WORLD))


def checks(said: Said) -> dict[str, dict[str, str]]:
    """The findings of --json by name."""
    return {each["name"]: each for each in json.loads(said.out)["checks"]}


def test_every_group_reports_and_has_its_texts(cli: Cli, weights: Path) -> None:
    said = cli("doctor", "--model", str(weights))
    assert (said.code, said.err) == (0, "")
    for group in GROUPS:
        title, fine = lookup(f"doctor.{group}.title"), lookup(f"doctor.{group}.fine")
        assert title
        assert fine
        assert f"{title}\n" in said.out
    assert said.out.count("  -> ") >= len(GROUPS)


def test_nothing_is_made(cli: Cli, home: Path, weights: Path) -> None:
    cli("doctor", "--json", "--model", str(weights))
    assert not home.exists()


def test_json_says_the_same_as_the_exit_code(cli: Cli, weights: Path, tmp_path: Path) -> None:
    good, bad = (cli("doctor", "--json", "--model", str(path)) for path in (weights, tmp_path / "none.pth"))
    assert (good.code, json.loads(good.out)["ok"]) == (0, True)
    assert (bad.code, json.loads(bad.out)["ok"]) == (1, False)
    assert checks(bad)["Weights"]["status"] == "problem"
    assert "none.pth" in checks(bad)["Weights"]["value"]


def test_versions_are_the_installed_ones(cli: Cli, weights: Path) -> None:
    import click
    import torch

    found = checks(cli("doctor", "--json", "--model", str(weights)))
    # a wheel of the package index may leave "+cu130" to the module and out of its metadata
    assert torch.__version__.startswith(found["PyTorch"]["value"])
    assert found["click"]["value"] == versions.version_of(click.__name__)


def test_the_range_of_torch_is_that_of_pyproject() -> None:
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (low, high) = versions.TORCHES
    assert f"torch>={low[0]}.{low[1]},<{high[0]}.{high[1]}" in needs
    assert {name for name in versions.NEEDED if not any(each.startswith(name) for each in needs)} == set()


@pytest.mark.parametrize(
    ("version", "status"), [(None, "problem"), ("2.8.1", "note"), ("2.9.0+cpu", "ok"), ("2.14.0", "note")]
)
def test_another_torch_is_noticed(monkeypatch: pytest.MonkeyPatch, version: str | None, status: str) -> None:
    monkeypatch.setattr(versions, "version_of", lambda name: version)
    found = {each.name: each for each in versions.check(Paths.find(), None)}["PyTorch"]
    assert found.status == status
    assert bool(found.advice) == (status != "ok")


# ------------------------------------------------------------------------------------------------ the library


@pytest.fixture
def library(home: Path) -> Path:
    """A database with one conversation of one message."""
    from rwkv_chat.library import nodes

    paths = Paths.under(home).make()
    db = connect(paths.database)
    nodes.append_user(db, "t1", "Hello", "Hello", create=True)
    db.close()
    return paths.database


def test_a_sound_database_is_counted(cli: Cli, library: Path, weights: Path) -> None:
    found = checks(cli("doctor", "--json", "--model", str(weights)))
    assert found["Database"]["status"] == "ok"
    assert found["Contents"]["value"].startswith("1 conversations, 1 messages")


def test_a_damaged_database_is_a_problem_and_is_left_alone(cli: Cli, library: Path, weights: Path) -> None:
    data = bytearray(library.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    library.write_bytes(data)
    said = cli("doctor", "--json", "--model", str(weights))
    assert said.code == 1
    assert checks(said)["Database"]["status"] == "problem"
    assert library.read_bytes() == bytes(data)


def test_a_database_of_a_newer_program_is_a_problem(cli: Cli, library: Path, weights: Path) -> None:
    with closing(connect(library)) as db:
        db.execute("PRAGMA user_version = 99")
    said = cli("doctor", "--json", "--model", str(weights))
    assert (said.code, checks(said)["Database"]["status"]) == (1, "problem")
    assert "99" in checks(said)["Database"]["value"]


@pytest.mark.parametrize("content", [b"", b"not a database at all", b"\0" * 8192])
def test_a_file_that_is_no_database(cli: Cli, library: Path, weights: Path, content: bytes) -> None:
    library.write_bytes(content)
    said = cli("doctor", "--json", "--model", str(weights))
    assert "Traceback" not in said.out + said.err
    assert checks(said)["Database"]["status"] == ("problem" if content else "ok")


def test_a_write_ahead_log_is_read_too(cli: Cli, library: Path, weights: Path) -> None:
    from rwkv_chat.library import nodes

    db = connect(library)
    nodes.append_user(db, "t2", "Second", "Second", create=True)
    found = checks(cli("doctor", "--json", "--model", str(weights)))
    db.close()
    assert found["Contents"]["value"].startswith("2 conversations")


def test_look_cannot_write(library: Path) -> None:
    from rwkv_chat.library.health import look

    before = library.read_bytes()
    assert look(library).faults == ()
    assert library.read_bytes() == before
    with pytest.raises(sqlite3.Error):
        sqlite3.connect(f"{library.as_uri()}?mode=ro", uri=True).execute("DELETE FROM threads")


# ------------------------------------------------------------------------------------------------ the rest


def test_open_folders_are_noticed(home: Path) -> None:
    paths = Paths.under(home).make()
    assert next(iter(disk.check(paths, None))).status == "ok"
    paths.data.chmod(0o755)
    assert next(iter(disk.check(paths, None))).status == "note"


def test_a_damaged_settings_file_is_noticed_and_kept(home: Path) -> None:
    paths = Paths.under(home).make()
    paths.settings_file.write_text("theme = [")
    found = {each.name: each for each in disk.check(paths, None)}
    assert found["Settings"].status == "note"
    assert paths.settings_file.read_text() == "theme = ["


def test_saved_states_are_counted(home: Path) -> None:
    paths = Paths.under(home).make()
    (paths.states / "one.safetensors").write_bytes(bytes(1500))
    found = {each.name: each for each in disk.check(paths, None)}
    assert found["Saved states"].value.startswith("1, 1.5 kB of at most")


def test_little_memory_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**8)
    assert next(iter(memory.check(Paths.find(), None))).status == "note"


def test_gpus_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (10**9, 8 * 10**9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Card {index}")
    found = [each for each in devices.check(Paths.find(), None) if each.name.startswith("cuda:")]
    assert [each.value for each in found] == [f"Card {n}, 1.0 GB of 8.0 GB free" for n in (0, 1)]


def test_the_models_shape_is_shown(weights: Path) -> None:
    found = {each.name: each for each in model.check(Paths.find(), weights)}
    assert "rwkv7, 2 layers, width 32" in found["Weights"].value
    assert found["Tokenizer"].value == "world, 65530 tokens"


def test_a_check_that_breaks_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    def broken(paths: Paths, chosen: Path | None) -> list[Finding]:
        raise ZeroDivisionError

    monkeypatch.setitem(doctor.GROUPS, "devices", broken)
    found = dict(doctor.examine(Paths.find()))
    assert [each.status for each in found["devices"]] == ["problem"]
    assert found["memory"]


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_model_of_every_format_is_looked_at(kind: str, tmp_path: Path) -> None:
    path = SAMPLES[kind](tmp_path, replace(spec_of(kind), vocab_size=WORLD, n_embd=16))
    found = {each.name: each for each in model.check(Paths.find(), path)}
    assert f"{kind}, rwkv" in found["Weights"].value
    assert all(each.status == "ok" for each in found.values())


def test_a_tokenizer_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "RWKV-4-Pile.pth", spec(arch="rwkv4", vocab_size=50277, n_embd=16))
    *_, found = model.check(Paths.find(), path)
    assert (found.status, "20B_tokenizer.json" in found.value) == ("problem", True)


# ------------------------------------------------------------------------------------------------ cards


def gpu_lines(monkeypatch: pytest.MonkeyPatch, cuda: tuple[int, int] | None, home: Path) -> list[Finding]:
    from engine import nvidia

    card = nvidia.Machine(("NVIDIA X",), (580, 65))
    monkeypatch.setattr(nvidia, "machine", lambda: card)
    monkeypatch.setattr(nvidia, "torch_cuda", lambda: cuda)
    return [each for each in devices.check(Paths.under(home), None) if each.name in ("GPU", "Fast kernels")]


def test_a_card_that_cannot_be_used_has_a_line_and_a_command(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    found = gpu_lines(monkeypatch, None, home)[0]
    assert (found.name, found.value, found.status) == ("GPU", "NVIDIA X", "note")
    assert "pip install" in found.advice


def test_what_the_checks_of_the_kernels_found_has_a_line(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    from engine import nvidia
    from engine.verdicts import Combination, Verdict, Verdicts

    verdicts = Verdicts(Paths.under(home).cache)
    for number, reason in enumerate(("", "differs")):
        of = Combination("NVIDIA X 9.0", "", "", "", "", str(number))
        verdicts.keep(of, Verdict(reason, "decode, token 3", of.card))
    monkeypatch.setattr(nvidia, "unbuildable", lambda: "no_compiler")
    missing, right, wrong = gpu_lines(monkeypatch, (13, 0), home)[1:]
    assert "gcc" in missing.advice
    assert (right.status, right.value) == ("ok", "checked and right on NVIDIA X 9.0")
    assert wrong.status == "note"
    assert "decode, token 3" in wrong.advice
