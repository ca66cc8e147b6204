"""Tuning through the session, on a tiny model and in real processes: from conversations to a result that is
spoken with; stopped, killed and gone on with; damaged folders; erasing.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from engine.errors import DiskFailed, FileInTheWay, InvalidRequest, UnsupportedFormat
from engine.tune.folder import owner
from engine.tune.run import run
from engine.types import Evaluated, Step, TuneConfig, Unloaded
from engine.types.tuning import CheckpointSaved, Started, Stopped
from engine.weights.export_pissa import write_pissa
from engine.weights.export_tuned import convert_tuned_state
from rwkv_chat.importers.filters import Filters
from rwkv_chat.library import threads
from rwkv_chat.paths import Paths
from rwkv_chat.session import open_session, tune_child, tune_probe
from rwkv_chat.session.adapter_files import within
from rwkv_chat.session.errors import (
    DeviceTaken,
    NotInPrivate,
    TuneDamaged,
    TuneNotDone,
    TuneOver,
    TuneRuns,
    TuneTooLarge,
    TuneUnknown,
)
from rwkv_chat.session.examples_types import Branch, Selection
from rwkv_chat.session.state_types import Shared
from rwkv_chat.session.tune_child import device_lock, holder
from rwkv_chat.session.tune_folder import ABOUT, About, read_about, write_about
from rwkv_chat.session.tune_planning import Room
from rwkv_chat.session.tune_runs import Runs
from rwkv_chat.windows import held, taken
from tests.chat.real import GREEDY, ask, model_folder, open_real
from tests.run_files import check_data_alone

if TYPE_CHECKING:
    from dataclasses import Field
    from pathlib import Path

    from rwkv_chat.session import Session
    from rwkv_chat.session.tune_export import What
    from rwkv_chat.session.tune_types import Plan, Tune

CHATS = 12
SAMPLED = replace(GREEDY, temperature=1.0, seed=5)


async def open_tuning(home: Path) -> Session:
    session = await open_real(home, model_folder(home / "model"))
    session.tunes.measure = lambda *_: 100.0  # no process for that
    return session


async def talked(session: Session, number: int = CHATS) -> list[str]:
    """Conversations to tune on."""
    ends = [await ask(session, None, f"What is number {each}?") for each in range(number)]
    return [each.thread.id for each in ends]


async def planned(session: Session, chats: list[str], method: str = "state", **changes: Any) -> Plan:
    selection = Selection(branches=tuple(map(Branch, chats)), filters=Filters(alike=0))
    changes = {"steps": 3, "sample_tokens": 4} | changes
    return await session.tunes.plan(selection, method, "quick", name="Mine", **changes)


async def ended(session: Session, tune: Tune) -> list[object]:
    return [each async for each in session.tunes.events(tune.id)]


async def first_of(session: Session, tune: Tune, kind: type, number: int = 1) -> None:
    """Waits until a run has told so many events of a kind."""
    async for event in session.tunes.events(tune.id):
        number -= isinstance(event, kind)
        if number <= 0:
            return
    raise AssertionError(f"it ended without {kind.__name__}")


# ---------------------------------------------------------------------------------------- from end to end


@dataclass(frozen=True)
class Ran:
    """A home in which a run has come to its end, and all that was told of it."""

    home: Path
    id: str
    chat: str
    plan: Plan
    events: tuple[object, ...]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return asyncio.run(_ran(tmp_path_factory.mktemp("ran")))


async def _ran(home: Path) -> Ran:
    session = await open_tuning(home)
    try:
        chats = await talked(session)
        plan = await planned(session, chats)
        assert await session.tunes.list() == ()  # a plan writes nothing
        tune = await session.tunes.start(plan)
        events = await ended(session, tune)
        return Ran(home, tune.id, chats[0], plan, tuple(events))
    finally:
        await session.close()


def test_a_plan_says_what_is_there_and_what_it_takes(ran: Ran) -> None:
    plan = ran.plan
    assert plan.found.conversations == CHATS
    assert plan.found.validation.examples == 1
    assert [each.preset for each in plan.costs] == ["quick", "good", "long"]
    assert plan.minutes == plan.estimate.tokens / 100.0 / 60
    assert not plan.practice
    assert plan.command.startswith("rwkv-chat tune new --chat ")
    assert "--preset quick" in plan.command


def test_a_runs_folder_holds_data_alone(ran: Ran) -> None:
    """Also of what the app keeps in it."""
    files = check_data_alone(Paths.under(ran.home).tunes / ran.id)
    assert {"about.json", "config.toml", "events.jsonl", "moments.json", "output.log"} < set(files)
    assert "result/state.safetensors" in files


async def test_a_run_tells_all_to_its_end(ran: Ran, tmp_path: Path, opened: list[Session]) -> None:
    assert [each.step for each in ran.events if isinstance(each, Step)] == [1, 2, 3]
    assert isinstance(ran.events[-1], Stopped)
    opened.append(session := await open_copy(ran, tmp_path))
    done = await session.tunes.show(ran.id)
    assert (done.status, done.step, done.steps, done.done) == ("finished", 3, 3, True)
    losses = session.tunes.losses(done)
    evaluated = [each.loss for each in ran.events if isinstance(each, Evaluated)]
    assert (losses.base, losses.tuned) == (evaluated[0], min(evaluated))
    assert (await session.tunes.find("min")).id == ran.id
    assert await session.tunes.words(ran.id, (0,))
    with pytest.raises(TuneOver):
        await session.tunes.resume(ran.id)


async def open_copy(ran: Ran, home: Path, worker: str = "thread") -> Session:
    shutil.copytree(ran.home / "data", home / "data")
    overrides = {"device": "cpu", "dtype": "fp32", "threads": 1}
    model = ran.home / "model" / "tiny.safetensors"
    return await open_session(Paths.under(home), model=model, worker=worker, overrides=overrides)  # pyright: ignore[reportArgumentType]  either


@pytest.mark.parametrize("worker", ["thread", "process"])
async def test_a_result_is_compared_kept_and_spoken_with(
    ran: Ran, tmp_path: Path, opened: list[Session], worker: str
) -> None:
    opened.append(session := await open_copy(ran, tmp_path, worker))
    await _compared(session, ran.id)
    await _kept(session, ran.id, ran.chat, tmp_path)


async def _compared(session: Session, id_: str) -> None:
    tunes = session.tunes
    said = [each async for each in tunes.beside(id_, "What is number 3?", SAMPLED)]
    assert {each.side for each in said} == {"base", "tuned"}
    again = [each async for each in tunes.beside(id_, "What is number 3?", SAMPLED)]
    for side in ("base", "tuned"):
        one, other = ("".join(each.text for each in of if each.side == side) for of in (said, again))
        assert one == other  # of the same seed
    (moment,) = [each async for each in tunes.moments(id_)]
    assert moment.before.endswith("Assistant:")
    assert moment.chosen is None
    sides = {await tunes.judge(id_, 0, place) for place in range(3)}
    assert sides == {"real", "base", "tuned"}
    count = await tunes.count(id_)
    assert (count.judged, count.moments) == (1, 1)  # the last choice counts


async def _kept(session: Session, id_: str, chat: str, folder: Path) -> None:
    tunes = session.tunes
    kept = await tunes.keep(id_, "Kept", chat)
    assert (kept.persona.name, kept.persona.kind) == ("Kept", "tuned")
    assert (await tunes.keep(id_)).persona.id == kept.persona.id  # it is there already
    assert (await tunes.show(id_)).kept == kept.persona.id
    assert kept.thread is not None
    assert kept.thread.initial
    assert kept.thread.title == "What is number 0? · Kept"
    before = await session.library.run(threads.get, chat)
    assert before.initial == ""
    assert kept.thread.tip == before.tip  # the same conversation, beside itself
    await ask(session, kept.thread.id, "And now?")
    begun = await session.states.begin(kept.persona.id)
    await ask(session, begun.id, "Hello?")
    shared = await exported(session, id_, folder / "out.pth")
    assert (shared.path, shared.reveals) == (str(folder / "out.pth"), True)
    assert "may learn" in (folder / "out.pth.md").read_text()
    await _in_the_way(session, id_, folder)
    await session.states.export(kept.persona.id, folder / "again.st")
    taken_in = await session.states.import_(folder / "again.st")
    assert taken_in.kind == "tuned"
    await tunes.remove(id_)
    assert await tunes.list() == ()
    assert (await session.states.get(kept.persona.id)).name == "Kept"
    await ask(session, begun.id, "And now?")


async def exported(session: Session, id_: str, target: Path, what: What = "result") -> Shared:
    *_, shared = [each async for each in session.tunes.export(id_, target, what)]
    assert isinstance(shared, Shared)
    return shared


async def _in_the_way(session: Session, id_: str, folder: Path) -> None:
    """Whatever hinders one of the two files, neither is written."""
    (folder / "no.pth.md").write_text("mine")
    with pytest.raises(FileInTheWay):
        await exported(session, id_, folder / "no.pth")
    assert ((folder / "no.pth.md").read_text(), (folder / "no.pth").exists()) == ("mine", False)
    (folder / "here.pth").write_text("mine")
    with pytest.raises(FileInTheWay):
        await exported(session, id_, folder / "here.pth")
    with pytest.raises(InvalidRequest):
        await exported(session, id_, folder / "what.txt")
    with pytest.raises(DiskFailed):
        await exported(session, id_, folder / "nowhere" / "x.pth")
    cards = {
        name
        for name in ("no", "here", "what", "x", "out")
        for end in (".pth.md", ".txt.md")
        if (folder / f"{name}{end}").exists()
    }
    assert cards == {"no", "out"}


async def _written(session: Session, id_: str, folder: Path) -> None:
    """An adapter as a folder, and merged into the model: each with a card, never over what is there."""
    shared = await exported(session, id_, folder / "adapter")
    assert sorted(each.name for each in (folder / "adapter").iterdir()) == [
        *("README.md", "adapter_config.json", "adapter_model.safetensors"),
    ]
    assert shared.nbytes == sum(each.stat().st_size for each in (folder / "adapter").iterdir())
    assert "LoRA" in (folder / "adapter" / "README.md").read_text()
    with pytest.raises(FileInTheWay):
        await exported(session, id_, folder / "adapter")
    session.shelf.apart = False  # a process of its own takes seconds
    await exported(session, id_, folder / "merged.safetensors", "merged")
    assert "may learn" in (folder / "merged.safetensors.md").read_text()
    assert (folder / "merged.safetensors").stat().st_size > 10_000


async def test_an_adapter_of_one_conversation_and_not_of_another(
    tmp_path: Path, opened: list[Session]
) -> None:
    """Killed on the way, gone on with, kept; then both conversations go on from states of their own."""
    opened.append(session := await open_tuning(tmp_path))
    chats, tunes = await talked(session), session.tunes
    tune = await tunes.start(await planned(session, chats, "lora", steps=100_000, checkpoint_every=2))
    await first_of(session, tune, CheckpointSaved, 3)
    with pytest.raises(TuneRuns):
        await tunes.resume(tune.id)
    with pytest.raises(TuneRuns):
        await tunes.remove(tune.id)
    with pytest.raises(TuneRuns):
        await session.convs.erase(chats[0])
    with pytest.raises(TuneRuns):
        await tunes.keep(tune.id)
    with pytest.raises(DeviceTaken) as refused:
        await tunes.start(await planned(session, chats))
    assert refused.value.name == "Mine"
    process = psutil.Process(_pid(tune.folder))
    assert process.net_connections() == []
    assert os.getsid(process.pid) == process.pid  # a process session of its own
    process.kill()
    killed = await tunes.ended(tune.id)
    assert (killed.status, killed.done) == ("killed", False)
    with pytest.raises(TuneNotDone):
        await tunes.keep(tune.id)
    resumed = await tunes.resume(tune.id)
    assert resumed.running
    await session.close()  # the window goes, and the run goes on
    opened.append(session := await open_real(tmp_path, tmp_path / "model" / "tiny.safetensors"))
    tunes = session.tunes
    assert (await tunes.show(tune.id)).running
    await first_of(session, resumed, Step, killed.step + 2)
    await tunes.stop(tune.id)
    stopped = await tunes.ended(tune.id)
    begun = [each.step for each in await ended(session, tune) if isinstance(each, Started)]
    assert begun[0] == 0
    assert begun[1] >= 2  # from its last checkpoint
    assert (stopped.status, stopped.step > begun[1]) == ("stopped", True)
    with pytest.raises(TuneOver):
        await tunes.stop(tune.id)
    await _written(session, tune.id, tmp_path)
    await _spoken(session, tune.id, chats[0])


def made_older(folder: Path, method: str) -> None:
    """A run's result as runs left it when it was a `.pth`."""
    result, now, then = folder / "result", f"{method}.safetensors", f"{method}.pth"
    if method == "state":
        convert_tuned_state(result / now, result / then, "pth")
    else:
        write_pissa(result / now, result)
    (result / now).unlink()
    events = folder / "events.jsonl"
    assert now in events.read_text()
    events.write_text(events.read_text().replace(now, then))


async def test_a_state_that_an_older_run_left_is_kept_and_written(
    ran: Ran, tmp_path: Path, opened: list[Session]
) -> None:
    opened.append(session := await open_copy(ran, tmp_path))
    made_older(session.paths.tunes / ran.id, "state")
    kept = await session.tunes.keep(ran.id, thread=ran.chat)
    assert kept.thread is not None
    await ask(session, kept.thread.id, "And now?")
    await exported(session, ran.id, tmp_path / "out.st")
    assert (tmp_path / "out.st").stat().st_size > 1_000


@pytest.mark.parametrize(
    ("method", "older", "files"),
    [
        ("pissa", False, ["README.md", "init_pissa.pth", "pissa.pth"]),
        ("pissa", True, ["README.md", "init_pissa.pth", "pissa.pth"]),
        ("miss", False, ["README.md", "adapter_config.json", "adapter_model.safetensors"]),
    ],
)
async def test_adapters_of_other_kinds_are_kept_spoken_with_and_written(
    tmp_path: Path, opened: list[Session], method: str, older: bool, files: list[str]
) -> None:
    opened.append(session := await open_tuning(tmp_path))
    chats, tunes = await talked(session, 3), session.tunes
    tune = await tunes.write(await planned(session, chats, method, steps=2))
    run(tune.folder)  # here: what a process of its own would do
    if older:
        made_older(tune.folder, method)
    kept = await tunes.keep(tune.id, thread=chats[0])
    assert kept.thread is not None
    await ask(session, kept.thread.id, "And now?")
    await exported(session, tune.id, tmp_path / "out")
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == files
    await session.states.export(kept.persona.id, tmp_path / "again")
    given = within(tmp_path / "again")
    assert given.name == ("pissa.pth" if method == "pissa" else "again")
    if not older:
        check_data_alone(session.paths.adapters)  # other programs' files are made where it is given away
    assert await session.turns.desk.adapters.try_on(given) == kept.thread.adapter  # it does the same
    await session.states.remove(kept.persona.id, let_go=True)
    await session.states.drop_unneeded()
    assert list(session.paths.adapters.iterdir()) == []


def _pid(folder: Path) -> int:
    found = owner(folder)
    assert found is not None
    return found.pid


async def _spoken(session: Session, id_: str, chat: str) -> None:
    kept = await session.tunes.keep(id_, thread=chat)
    assert kept.thread is not None
    tuned = kept.thread.id
    assert (kept.persona.kind, kept.thread.initial) == ("adapter", "")
    first = await ask(session, tuned, "And now?")
    assert first.usage is not None
    assert first.usage.history_tokens > 0  # the adapter has not read what the model had
    for thread in (chat, tuned, chat, tuned):
        end = await ask(session, thread, "And then?")
        assert end.usage is not None
        assert end.usage.history_tokens == 0  # each goes on from its own state
    alone = await session.states.speak_with(tuned, None)
    assert alone.adapter == ""
    back = await session.states.speak_with(tuned, kept.persona.id)
    assert back.adapter == kept.thread.adapter
    assert (await ask(session, tuned, "Still?")).usage.history_tokens == 0  # pyright: ignore[reportOptionalMemberAccess]  it has one
    (voice,) = await session.tunes.voices()
    assert (voice.id, voice.adapter, voice.initial) == (kept.persona.id, back.adapter, "")
    assert (await session.tunes.speak_with(tuned, "")).adapter == ""
    assert (await session.tunes.speak_with(tuned, voice.id)).adapter == back.adapter
    saved = await session.states.made_from(chat)
    assert [each.id for each in saved] == [kept.persona.id]
    folder = Paths.under(session.paths.data.parent).adapters / back.adapter
    assert folder.is_dir()
    assert [each.id for each in await session.convs.tuned_on(chat)] == [id_]
    await session.convs.erase(chat, with_states=True)
    assert await session.tunes.list() == ()
    assert not folder.exists()
    assert (await session.library.run(threads.get, tuned)).adapter == ""
    await ask(session, tuned, "And alone?")


# ------------------------------------------------------------------------------------------------ refusals


async def test_what_does_not_fit_is_refused_and_the_chat_model_leaves_first(
    tmp_path: Path, opened: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.append(session := await open_tuning(tmp_path))
    chats, tunes = await talked(session, 3), session.tunes
    tunes.free = lambda _: 10
    plan = await planned(session, chats)
    assert (plan.fits, plan.leaves) == (False, False)  # on a CPU nobody leaves
    with pytest.raises(TuneTooLarge):
        await tunes.start(plan)
    assert await tunes.list() == ()
    assert session.models.speaker is not None
    there: list[object] = []
    monkeypatch.setattr(tune_child, "begin", lambda *_: there.append(session.models.speaker))
    await tunes.start(replace(plan, fits=True, leaves=True))
    assert there == [None]  # it had left before the run began
    (ended_with,) = [each async for each in session._engine.unload()]
    assert ended_with == Unloaded(0)  # it has gone
    await ask(session, chats[0], "Are you there?")  # and comes again
    await _resumed_alone(session, monkeypatch)
    assert there == [None, None]


async def _resumed_alone(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on has the card for itself, too."""
    tunes = session.tunes
    monkeypatch.setattr(tunes, "_room", lambda *_: Room(10, 1 << 40))
    (tune,) = await tunes.list()
    assert session.models.speaker is not None
    assert not await tunes.chat_leaves(tune.id)  # on a CPU nobody leaves
    write_about(tune.folder, replace(read_about(tune.folder), device="cuda"))
    assert await tunes.chat_leaves(tune.id)
    await tunes.resume(tune.id)
    assert not await tunes.chat_leaves(tune.id)  # it has


def test_who_leaves_a_card() -> None:
    assert not Room(10, 5).leaves(10)
    assert Room(10, 5).leaves(11)
    assert Room(10, 5).fits(15)
    assert not Room(10, 5).fits(16)
    assert not Room(10, 0).leaves(11)
    assert Room(None, 5).fits(1_000)
    assert not Room(None, 5).leaves(1_000)


async def test_nothing_of_a_private_chat_is_tuned_on(tmp_path: Path, opened: list[Session]) -> None:
    opened.append(session := await open_tuning(tmp_path))
    plan = await planned(session, await talked(session, 3))
    session.tunes.private = True
    with pytest.raises(NotInPrivate):
        await session.tunes.start(plan)


def test_a_device_lock_names_its_run(tmp_path: Path) -> None:
    place = device_lock(tmp_path, "cuda")
    assert place == device_lock(tmp_path, "cuda:0")
    assert not held(place)
    place.touch()
    with place.open("r+b") as looking:  # somebody else who only looks is in the middle of it
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not held(place)
    handle = taken(place)
    assert handle is not None
    os.write(handle, json.dumps({"run": "x", "name": "Mine"}).encode())
    assert held(place)
    assert holder(place) == "Mine"
    assert taken(place) is None
    os.close(handle)
    assert not held(place)


ABOUTS = (
    "",
    "[]",
    "{",
    '{"format": "rwkv-chat tune", "version": 2}',
    json.dumps({"format": "rwkv-chat tune", "version": 1, "name": 5}),
)


@pytest.mark.parametrize("text", ABOUTS)
async def test_a_damaged_folder_is_one_sentence(tmp_path: Path, opened: list[Session], text: str) -> None:
    opened.append(session := await open_tuning(tmp_path))
    folder = session.paths.tunes / "0123456789ab"
    folder.mkdir()
    (folder / ABOUT).write_text(text)
    (tune,) = await session.tunes.list()
    assert tune.status == "damaged"
    assert str(folder) in tune.error
    with pytest.raises(TuneDamaged):
        read_about(folder)
    with pytest.raises((TuneNotDone, TuneOver)):
        await session.tunes.resume(tune.id)
    await session.tunes.remove(tune.id)
    assert await session.tunes.list() == ()


WHOLE = About(
    "Mine", "good", 5.0, "/m.pth", "M", "id", "coding", "t.json", "classic", "rwkv-chat tune", True,
    ("a",), ("b",), "kept", "cuda", 3, 4, 5, 6,
)  # fmt: skip


@pytest.mark.parametrize("field", fields(About)[1:], ids=lambda each: each.name)
def test_what_an_older_run_did_not_say_has_its_usual_value(field: Field[Any], tmp_path: Path) -> None:
    """Every field but the name came some day; a file of tomorrow has one more."""
    write_about(tmp_path, WHOLE)
    table = json.loads((tmp_path / ABOUT).read_text())
    del table[field.name]
    (tmp_path / ABOUT).write_text(json.dumps(table | {"of_tomorrow": 3}))
    assert read_about(tmp_path) == replace(WHOLE, **{field.name: field.default}) != WHOLE


async def test_names_that_are_none(tmp_path: Path, opened: list[Session]) -> None:
    opened.append(session := await open_tuning(tmp_path))
    (session.paths.tunes / "link").symlink_to(tmp_path)
    (session.paths.tunes / ".hidden").mkdir()
    assert await session.tunes.list() == ()
    for name in ("", "..", "../model", "link", "nobody"):
        with pytest.raises(TuneUnknown):
            await session.tunes.show(name)
        with pytest.raises(TuneUnknown):
            await session.tunes.find(name)


def test_what_a_crash_left_goes_after_a_day(tmp_path: Path) -> None:
    now, old = tmp_path / ".new-1", tmp_path / ".gone-2"
    for each in (now, old, tmp_path / "0123456789ab"):
        each.mkdir()
    os.utime(old, (0, 0))
    os.utime(tmp_path / "0123456789ab", (0, 0))
    Runs(tmp_path).sweep()
    assert sorted(each.name for each in tmp_path.iterdir()) == [".new-1", "0123456789ab"]


async def test_a_log_from_anywhere(tmp_path: Path, opened: list[Session]) -> None:
    """Numbers that are none, a result outside of the folder."""
    opened.append(session := await open_tuning(tmp_path))
    plan = await planned(session, await talked(session, 3))
    tune = await session.tunes.write(plan)
    assert tune.status == "ready"
    lines = [
        {"event": "Step", "step": "x", "steps": 3, "loss": [], "learning_rate": 1, "tokens_per_second": 1},
        {"event": "Nothing"},
        {"event": "Started", "step": 3, "steps": 3, "rows": 1, "tokens": 1, "skipped": 0, "trained": 1,
         "device": "cpu", "processes": 1},
        {"event": "Stopped", "step": 3, "reason": "finished", "result": "../../../model", "best": None},
    ]  # fmt: skip
    (tune.folder / "events.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n{")
    found = await session.tunes.show(tune.id)
    assert (found.status, found.step, found.loss) == ("finished", 3, None)
    with pytest.raises(TuneDamaged):
        await session.tunes.keep(tune.id)


async def test_a_file_that_is_no_adapter_changes_nothing(tmp_path: Path, opened: list[Session]) -> None:
    opened.append(session := await open_tuning(tmp_path))
    (chat,) = await talked(session, 1)
    (tmp_path / "no.safetensors").write_bytes(b"no")
    with pytest.raises(Exception) as refused:  # noqa: PT011  of the engine's family, checked below
        await session.turns.desk.adapters.try_on(tmp_path / "no.safetensors")
    assert not isinstance(refused.value, AssertionError | UnsupportedFormat | TypeError)
    end = await ask(session, chat, "And then?")
    assert end.usage is not None
    assert end.usage.history_tokens == 0


# ---------------------------------------------------------------------------------------- how long it takes

WRITES = "import pathlib, sys; pathlib.Path(sys.argv[2], 'probe.json').write_text({text!r})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"tokens_per_second": 7.5, "peak": 1}', 7.5),
        ("[]", None),
        ("{", None),
        ('{"tokens_per_second": "x"}', None),
    ],
)
def test_a_speed_is_what_a_few_steps_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: float | None
) -> None:
    monkeypatch.setattr(tune_probe, "TUNE", (sys.executable, "-c", WRITES.format(text=text)))
    config = TuneConfig("model.pth")
    assert tune_probe.measured(config, [3, 1, 2], tmp_path) == expected
    assert list(tmp_path.iterdir()) == []


def test_a_speed_that_cannot_be_measured_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_probe, "TUNE", (sys.executable, "-c", "import sys; sys.exit(1)"))
    assert tune_probe.measured(TuneConfig("model.pth"), [3], tmp_path) is None
    monkeypatch.setattr(tune_probe, "TUNE", (sys.executable, "-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(tune_probe, "LONGEST_SECONDS", 0.1)
    assert tune_probe.measured(TuneConfig("model.pth"), [3], tmp_path) is None


def test_a_model_that_is_slow_is_measured_by_the_steps_that_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object, **__: object) -> None:
        (folder,) = tmp_path.iterdir()
        (folder / "probe.json").write_text('{"tokens_per_second": 2.5, "peak": 1}')
        raise subprocess.TimeoutExpired("probe", 0.1)

    monkeypatch.setattr(tune_probe.subprocess, "run", late)
    assert tune_probe.measured(TuneConfig("model.pth"), [3], tmp_path) == 2.5


async def test_earlier_runs_tell_the_speed(ran: Ran, tmp_path: Path, opened: list[Session]) -> None:
    opened.append(session := await open_copy(ran, tmp_path))
    session.tunes.measure = lambda *_: None
    chosen = Selection(branches=(Branch(ran.chat),))
    assert (await session.tunes.look(chosen)).conversations == 1
    plan = await planned(session, [ran.chat, *(each.id for each in await session.chats.threads())])
    assert plan.estimate.tokens_per_second == (await session.tunes.show(ran.id)).tokens_per_second
    chats = [each.id for each in await session.chats.threads()]
    assert (await planned(session, chats, "lora")).minutes is None
    assert (await planned(session, chats, base="bf16")).minutes is None
    measured: list[str] = []

    def measure(config: TuneConfig, *_: object) -> float:
        measured.append(config.method)
        return 7.0

    session.tunes.measure = measure
    for _ in range(2):
        assert (await planned(session, chats, "lora")).estimate.tokens_per_second == 7.0
    assert measured == ["lora"]  # once
    again = session.tunes.with_preset(plan, "long")
    assert (again.preset, again.found, again.name) == ("long", plan.found, plan.name)
