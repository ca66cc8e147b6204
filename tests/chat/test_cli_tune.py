"""`rwkv-chat tune` on a fake: what is said, what is asked, exit codes; its options and the command line that
a plan shows are each other's other way round.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rwkv_chat.cli import opening, tune_compare, tune_keep
from rwkv_chat.cli.main import group
from rwkv_chat.cli.tune_options import changes_of, selection_of
from rwkv_chat.explain import FAILURE, NOT_FOUND, OK, USAGE
from rwkv_chat.importers.filters import Filters
from rwkv_chat.session.errors import ConsentMissing, DeviceTaken
from rwkv_chat.session.examples_types import AGREED, Branch, LogFile, Selection
from rwkv_chat.session.tune_command import command_of
from tests.fake_tunes import FOUND, FakeTunes, tune
from tests.fakes import FakeEngine, fake_session

if TYPE_CHECKING:
    from rwkv_chat.paths import Paths
    from rwkv_chat.session import Session
    from tests.chat.command_line import Cli


@pytest.fixture
def tunes(monkeypatch: pytest.MonkeyPatch) -> FakeTunes:
    """The runs of every session that a command opens."""
    fake = FakeTunes()

    async def open_fake(
        paths: Paths, *, model: Path | None = None, private: bool = False, **_: Any
    ) -> Session:
        session = await fake_session(paths.data.parent, FakeEngine(), private=private)
        session.__dict__["tunes"] = fake
        return session

    monkeypatch.setattr(opening, "open_session", open_fake)
    for module in (tune_compare, tune_keep):
        monkeypatch.setattr(module, "found", fake.find)
    return fake


def test_a_dry_run_shows_everything_and_begins_nothing(cli: Cli, tunes: FakeTunes) -> None:
    done = cli("tune", "new", "log.txt", "--dry-run")
    assert (done.code, done.out) == (OK, "")
    for told in (
        "practice",
        "40 conversations",
        "1,500 of them learnt",
        "quick: 40 steps",
        "long: 800 steps",
    ):
        assert told in done.err
    assert "Assistant:[ Hello.]" in done.err
    assert "rwkv-chat tune new --method state" in done.err
    assert [what for what, _ in tunes.asked] == ["plan"]


def test_a_plan_for_programs(cli: Cli, tunes: FakeTunes) -> None:
    told = json.loads(cli("tune", "new", "log.txt", "--dry-run", "--json").out)
    assert told["found"]["conversations"] == 40
    assert [each["preset"] for each in told["presets"]] == ["quick", "good", "long"]
    assert told["fits"] is True


def test_nothing_begins_without_a_yes(cli: Cli, tunes: FakeTunes) -> None:
    assert cli("tune", "new", "log.txt").code == USAGE
    assert [what for what, _ in tunes.asked] == ["plan"]
    done = cli("tune", "new", "log.txt", "--yes", "--name", "Me", "--method", "lora", "--preset", "good")
    assert done.code == OK
    assert "running" in done.out
    assert [what for what, _ in tunes.asked] == ["plan", "plan", "start"]
    assert tunes.asked[1][1][1:3] == ("lora", "good")


def test_looking_on(cli: Cli, tunes: FakeTunes) -> None:
    done = cli("tune", "new", "log.txt", "--yes", "--follow")
    assert done.code == OK
    for told in ("perplexity 7.39", "perplexity 3.32", "BC", "280 MB at most", "Finished after 40 steps."):
        assert told in done.err
    tunes.runs_[0] = replace(tunes.runs_[0], status="stopped")
    tunes.events_ = tunes.events_[-1:]
    assert cli("tune", "resume", "Like me", "--follow").code == OK


def test_what_is_missing_and_what_is_refused(cli: Cli, tunes: FakeTunes) -> None:
    assert cli("tune", "new").code == USAGE
    assert cli("tune", "new", "--chat", "nobody").code == NOT_FOUND
    assert cli("tune", "new", "a", "b", "c", "--speaker", "A", "--speaker", "B").code == USAGE
    assert cli("tune", "new", "a.txt", "--steps", "many").code == USAGE
    tunes.error = ConsentMissing(("Ann", "Bob"))
    done = cli("tune", "new", "log.txt", "--yes")
    assert done.code != OK
    assert "Ann, Bob" in done.err
    tunes.error = DeviceTaken("cuda", "Other")
    done = cli("tune", "new", "log.txt", "--yes")
    assert done.code == FAILURE
    assert "Other" in done.err


def test_the_list_and_one_of_it(cli: Cli, tunes: FakeTunes) -> None:
    assert "Nothing has been tuned" in cli("tune", "list").err
    tunes.runs_ = [tune(), tune("fedcba987654", name="Broken", status="damaged", error="It is damaged.")]
    done = cli("tune", "list")
    assert done.out.splitlines()[0].split()[:2] == ["0123456789ab", "finished"]
    assert json.loads(cli("tune", "list", "--json").out)[0]["best"] == 1.2
    shown = cli("tune", "show", "Like me")
    assert "7.39 before, 3.32 at its best" in shown.out
    assert "Memory: 280 MB at most; 300 MB were expected." in shown.out
    assert "rwkv-chat tune new log.txt" in shown.out
    assert "It is damaged." in cli("tune", "show", "Broken").err
    assert cli("tune", "show", "nobody").code == NOT_FOUND


def test_stopping_going_on_and_removing(cli: Cli, tunes: FakeTunes) -> None:
    tunes.runs_ = [tune(status="running")]
    assert cli("tune", "rm", "Like me", "--yes").code == USAGE  # it goes on
    assert cli("tune", "stop", "Like me").code == OK
    assert cli("tune", "stop", "Like me").code == USAGE
    assert cli("tune", "resume", "Like me").code == OK
    assert cli("tune", "run", "Like me").code == OK
    assert cli("tune", "rm", "Like me").code == USAGE  # nobody can be asked
    assert cli("tune", "rm", "Like me", "--yes").code == OK
    assert tunes.runs_ == []


def test_comparing(cli: Cli, tunes: FakeTunes) -> None:
    tunes.runs_ = [tune()]
    done = cli("tune", "compare", "Like me", "--prompt", "Who are you?", "--temperature", "0")
    assert "7.39 of the model alone, 3.32 of the tuned one" in done.out
    assert "I am a model." in done.out
    assert "hey, me" in done.out
    told = json.loads(cli("tune", "compare", "Like me", "--json").out)
    assert told["loss"] == {"base": 2.0, "tuned": 1.2}
    assert cli("tune", "compare", "Like me", "--blind").code == USAGE  # nobody is there


def test_keeping_and_exporting(cli: Cli, tunes: FakeTunes) -> None:
    tunes.runs_ = [tune()]
    assert "Mine" in cli("tune", "keep", "Like me", "--as", "Mine").out
    assert ("keep", ("0123456789ab", "Mine", "")) in tunes.asked
    done = cli("tune", "export", "Like me", "out.pth")
    assert done.code == OK
    assert "may" in done.err  # what it may reveal
    assert (
        json.loads(cli("tune", "export", "Like me", "m.gguf", "--merged", "--json").out)["path"] == "m.gguf"
    )


# ---------------------------------------------------------------------------------------- the other way

SELECTIONS = (
    Selection(files=(LogFile(Path("a b.txt")),)),
    Selection(files=(LogFile(Path("a.txt"), "transcript", "Ann"), LogFile(Path("b.zip"), "whatsapp", "Bob"))),
    Selection(branches=(Branch("0" * 32), Branch("1" * 32, "2" * 32))),
    Selection(files=(LogFile(Path("a.txt"), speaker="Ann"), LogFile(Path("b.txt"), speaker="Ann"))),
    Selection(
        files=(LogFile(Path("a.txt")),),
        gap=600.0,
        filters=Filters(3, 2, 500, ("en", "de"), ("a word", "x"), "word", links=True, alike=0.5),
        redact=("card", "phone"),
        aliases=False,
        held=0.25,
        template="bot",
        consent=AGREED,
    ),
)
CHANGES = ({}, {"steps": 7, "learning_rate": 0.25, "rank": 4, "base": "int8", "seed": 3})


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("changes", CHANGES)
async def test_the_command_line_of_a_plan_means_the_plan(selection: Selection, changes: dict) -> None:
    line = command_of(selection, "lora", "long", "My own", Path("m.pth"), changes)
    told = _parsed(line)
    assert (told["method"], told["preset"], told["name"]) == ("lora", "long", "My own")
    assert told["model"] == Path("m.pth")
    assert changes_of(told) == changes

    class Convs:
        async def find(self, name: str) -> Any:
            from rwkv_chat.transcript import Thread

            return Thread(name, "", None)

    class Opened:
        convs = Convs()

    assert await selection_of(Opened(), told) == selection  # pyright: ignore[reportArgumentType]  what is asked of it


def _parsed(line: str) -> dict[str, Any]:
    program, tune_, new, *arguments = shlex.split(line)
    assert (program, tune_, new) == ("rwkv-chat", "tune", "new")
    context = group.make_context("rwkv-chat", ["tune", "new"], resilient_parsing=True)
    found = group.get_command(context, "tune")
    command = found.get_command(context, "new")  # pyright: ignore[reportOptionalMemberAccess,reportAttributeAccessIssue]  a group
    return command.make_context("new", arguments).params


def test_what_a_plan_warns_of_has_words(cli: Cli, tunes: FakeTunes) -> None:
    from typing import get_args

    from rwkv_chat.session.examples_types import Caution, Warned

    every = tuple(Caution(kind, 3, "classic") for kind in get_args(Warned))
    tunes.found = replace(
        FOUND, warnings=every, skipped={"alike": 2}, people=("Ann",), redacted={"e-mail": 2}
    )
    tunes.found = replace(tunes.found, redactions=(("a@b.example", "e-mail"),) * 2)
    done = cli("tune", "new", "log.txt", "--dry-run")
    assert done.code == OK
    assert "Ann" in done.err
    assert done.err.count("a@b.example → [e-mail]") == 1  # what goes is seen before it does
