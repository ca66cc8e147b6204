"""`rwkv-chat models pull` and `import`, on a fake engine: what comes onto the shelf, and how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import FileGone
from rwkv_chat.explain import FAILURE, INTERRUPTED, NOT_FOUND, OK, USAGE
from rwkv_chat.paths import Paths
from rwkv_chat.texts import say
from tests.chat.shelf_cli import FILE, here, made
from tests.engine import tiny

if TYPE_CHECKING:
    from tests.chat.command_line import Cli
    from tests.fakes import FakeEngine


# ------------------------------------------------------------------------------------------------ pull


def test_pull_prints_where_the_file_is(cli: Cli, engine: FakeEngine, home: Path, tmp_path: Path) -> None:
    engine.content[FILE] = made(tmp_path, "made.pth").read_bytes()
    said = cli("models", "pull", "g1d-0.1b")
    path = Paths.find().models / FILE
    assert (said.code, said.out) == (OK, f"{path}\n")
    assert path.read_bytes() == engine.content[FILE]
    assert here(cli)["rwkv7-g1d-0.1b-20260129-ctx8192"]["catalogue_name"] == "g1d-0.1b"
    assert engine.downloads[0].token is None


def test_pull_tells_as_json(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    engine.content[FILE] = made(tmp_path, "made.pth").read_bytes()
    told = json.loads(cli("models", "pull", "0.1b", "--json").out)
    assert (told["name"], told["bytes"]) == ("g1d-0.1b", len(engine.content[FILE]))


def test_pull_from_elsewhere(cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    cli("models", "pull", "g1d-0.1b")
    cli("models", "pull", "g1d-0.1b", "--endpoint", "https://other.example")
    cli("models", "pull", "g1d-0.1b", "--from", "modelscope")
    hosts = [each.url.split("/")[2] for each in engine.downloads]
    assert hosts == ["mirror.example", "other.example", "modelscope.cn"]


def test_a_token_is_sent_only_where_it_is_asked_for(
    cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    cli("models", "pull", "g1d-0.1b")
    cli("models", "pull", "g1d-0.1b", "--token")
    assert [each.token for each in engine.downloads] == [None, "hf_secret"]
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert cli("models", "pull", "g1d-0.1b", "--token").code == USAGE
    (tmp_path / "token").write_text("hf_saved\n")
    cli("models", "pull", "g1d-0.1b", "--token")
    assert engine.downloads[-1].token == "hf_saved"  # noqa: S105


def test_ctrl_c_pauses_a_pull(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    import os
    import signal
    import threading

    engine.content[FILE], engine.download_delay = made(tmp_path, "made.pth").read_bytes(), 60.0

    def press() -> None:
        while not engine.downloads:
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    said = cli("models", "pull", "g1d-0.1b")
    assert (said.code, said.out) == (INTERRUPTED, "")
    assert say("models.pull.paused", name="g1d-0.1b") in said.err


def test_what_is_gone_is_replaced(cli: Cli, engine: FakeEngine) -> None:
    engine.download_error = FileGone("https://x/y")
    said = cli("models", "pull", "g1d-0.1b")
    assert (said.code, said.out) == (NOT_FOUND, "")


@pytest.mark.parametrize(("name", "code"), [("nothing-like-this", NOT_FOUND), ("g1d", USAGE)])
def test_pull_of_no_or_several_models(cli: Cli, engine: FakeEngine, name: str, code: int) -> None:
    said = cli("models", "pull", name)
    assert (said.code, said.out) == (code, "")
    assert name in said.err


def test_the_tokenizer_alone(cli: Cli, engine: FakeEngine) -> None:
    said = cli("models", "pull", "20B_tokenizer.json")
    assert (said.code, said.out) == (OK, f"{Paths.find().models / '20B_tokenizer.json'}\n")


# ------------------------------------------------------------------------------------------------ import


def test_import_registers_in_place(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    file = made(tmp_path)
    said = cli("models", "import", str(file))
    assert (said.code, str(file) in said.out) == (OK, True)
    entry = here(cli)["mine"]
    assert (entry["path"], entry["source"]) == (str(file), "in place")
    assert list(Paths.find().models.iterdir()) == []


def test_import_copies_with_what_belongs_to_it(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    file = made(tmp_path / "theirs", spec=tiny.spec())
    (file.parent / "tokenizer.json").write_text("{}")
    (told,) = json.loads(cli("models", "import", "--copy", "--json", str(file)).out)
    path = Path(told["model"]["path"])
    assert (path.parent.parent, told["model"]["source"]) == (Paths.find().models, "copied")
    assert path.read_bytes() == file.read_bytes()
    assert (path.parent / "tokenizer.json").is_file()
    assert here(cli)["mine"]["error"] == ""


def test_import_of_a_folder_tells_file_by_file_and_nothing_found_is_1(
    cli: Cli, engine: FakeEngine, tmp_path: Path
) -> None:
    made(tmp_path / "some")
    (tmp_path / "some" / "bad.pth").write_bytes(b"PK\x03\x04")
    told = json.loads(cli("models", "import", "--json", str(tmp_path / "some")).out)
    assert [(Path(each["path"]).name, each["kind"]) for each in told] == [
        ("bad.pth", "damaged"),
        ("mine.safetensors", "model"),
    ]
    (tmp_path / "none").mkdir()
    assert cli("models", "import", str(tmp_path / "none")).code == FAILURE
    assert cli("models", "import", str(tmp_path / "nowhere")).code == NOT_FOUND


def test_import_with_a_choice_of_ones_own(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    file = made(tmp_path)
    cli("models", "import", str(file), "--family", "g1-bot", "--template", "classic")
    told = json.loads(cli("models", "info", "mine", "--json").out)
    assert (told["family"]["name"], told["template"]) == ("g1-bot", "classic")
