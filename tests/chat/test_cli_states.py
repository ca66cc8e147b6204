"""`rwkv-chat states`, `convs pack` and `convs unpack`: on the real engine with a tiny random model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rwkv_chat.cli.states import STATES
from rwkv_chat.texts import say
from tests.chat.real import model_folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chat.command_line import Cli, Said

SHORT = ("--max-tokens", "10", "--seed", "1")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model_folder(tmp_path_factory.mktemp("model")))


@pytest.fixture
def talk(cli: Cli, model: str) -> str:
    """The title of a conversation that is kept."""
    said = cli("--model", model, "ask", "--save", "I am a scribe.", *SHORT)
    assert said.code == 0, said.err
    return "I am a scribe."


def ok(said: Said) -> Said:
    assert said.code == 0, said.err
    return said


@pytest.mark.parametrize("name", STATES)
def test_every_command_has_its_help(cli: Cli, name: str) -> None:
    assert say(f"states.{name}.help").split(":")[0][:30] in " ".join(
        ok(cli("states", name, "--help")).out.split()
    )


def test_a_persona_from_its_conversation_to_another_home(
    cli: Cli, model: str, talk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert say("states.none") in ok(cli("states", "list")).err
    saved = ok(cli("states", "save", talk, "Scribe", "--tag", "role", "--model", model))
    assert "Scribe" in saved.err
    shown = ok(cli("states", "show", "scribe", "--norms")).out
    assert "I am a scribe." in shown
    assert say("states.column.layer") in shown
    told = json.loads(ok(cli("states", "list", "--json")).out)
    assert [(each["name"], each["tags"], each["states"][0]["trusted"]) for each in told] == [
        ("Scribe", ["role"], True)
    ]
    file = tmp_path / "scribe.safetensors"
    assert say("states.export.reveals") in ok(cli("states", "export", "Scribe", str(file))).err
    again = cli("states", "export", "Scribe", str(file))
    assert again.code != 0
    assert "Traceback" not in again.err

    monkeypatch.setenv("RWKV_CHAT_HOME", str(tmp_path / "elsewhere"))
    taken = ok(cli("states", "import", str(file), "--model", model))
    assert "Scribe" in taken.out
    assert "states confirm" in taken.err
    found = json.loads(ok(cli("states", "confirm", "Scribe", "--model", model, "--json")).out)
    assert found["agrees"]
    assert json.loads(ok(cli("states", "show", "Scribe", "--json")).out)["states"][0]["trusted"]


def test_usage_thin_compare_and_rm(cli: Cli, model: str, talk: str) -> None:
    for name in ("A", "B"):
        ok(cli("states", "save", talk, name, "--model", model))
    use = json.loads(ok(cli("states", "usage", "--json")).out)
    assert use["chats"][0]["title"] == talk
    assert use["held_bytes"] > 0
    assert talk in ok(cli("states", "usage")).out
    heads = json.loads(ok(cli("states", "compare", "A", "B", "--json")).out)["heads"]
    assert {change for row in heads for change in row} == {0.0}
    assert "0.0%" in ok(cli("states", "compare", "A", "B")).out
    assert json.loads(ok(cli("states", "thin", "--json")).out)["states"] == 0
    assert cli("states", "rm", "A").code == 2, "nobody can be asked"
    ok(cli("states", "rm", "A", "B", "--yes"))
    assert json.loads(ok(cli("states", "list", "--json")).out) == []
    assert cli("states", "show", "A").code == 3


def test_another_model_reads_what_a_persona_has_read(cli: Cli, model: str, talk: str, tmp_path: Path) -> None:
    ok(cli("states", "save", talk, "Scribe", "--model", model))
    other = str(model_folder(tmp_path / "other", seed=5))
    ok(cli("states", "rebuild", "Scribe", "--model", other))
    told = json.loads(ok(cli("states", "show", "Scribe", "--json")).out)
    assert len({each["model"] for each in told["states"]}) == 2


def test_a_conversation_is_packed_and_unpacked(
    cli: Cli, model: str, talk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "talk.capsule"
    assert say("states.export.reveals") in ok(cli("convs", "pack", talk, str(file), "--model", model)).err
    monkeypatch.setenv("RWKV_CHAT_HOME", str(tmp_path / "elsewhere"))
    taken = ok(cli("convs", "unpack", str(file)))
    assert talk in taken.out
    assert "--confirm" in taken.err
    again = json.loads(ok(cli("convs", "unpack", str(file), "--confirm", "--model", model, "--json")).out)
    assert (again["new"], again["agrees"]) == (False, True)
    known = ok(cli("convs", "import", str(file)))
    assert "here already: 1" in known.err
    (tmp_path / "bad.capsule").write_bytes(b"no")
    bad = cli("convs", "unpack", str(tmp_path / "bad.capsule"))
    assert bad.code == 1
    assert "it is no capsule" in bad.err
    wrong = cli("states", "import", str(file), "--model", model)
    assert (wrong.code, "it is a capsule" in wrong.err) == (1, True)
