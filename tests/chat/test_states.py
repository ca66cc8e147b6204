"""The library of states: personas saved, begun from, given away, taken in; what states take up."""

from __future__ import annotations

import asyncio
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch

from engine.errors import FileInTheWay, StoreFull, TunedStateMismatch
from engine.store.portable import ABOUT, portable, read_portable
from engine.types import NotSaved, Prefilled, StateKey
from rwkv_chat.explain import sentence
from rwkv_chat.paths import Paths
from rwkv_chat.session import Answered, capsule_files
from rwkv_chat.session.errors import (
    NothingToSave,
    PersonaAmbiguous,
    PersonaOfOtherModel,
    PersonaUnknown,
    StateFileInvalid,
)
from rwkv_chat.session.sharing import put_beside
from rwkv_chat.session.state_types import Confirmed, Persona
from tests.chat.real import GREEDY, ask, model_folder, open_real, told
from tests.engine import tiny
from tests.test_durable import asked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rwkv_chat.session import Session


__all__ = ["asked"]


async def save(session: Session, thread: str, name: str = "Scribe", **named: object) -> Persona:
    events = [each async for each in session.states.save(thread, name, **named)]  # pyright: ignore
    assert isinstance(events[-1], Persona)
    assert all(isinstance(each, Prefilled) for each in events[:-1])
    return events[-1]


async def test_a_persona_is_where_a_new_conversation_begins(tmp_path: Path, opened: list[Session]) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    first = await ask(session, None, "I am a scribe.")
    saved = await save(session, first.thread.id, description="writes", tags=("role",))
    assert (saved.name, saved.kind, saved.tags, saved.messages) == ("Scribe", "lived", ("role",), 2)
    assert saved.states[0].nbytes > 0
    assert saved.states[0].tokens == len((await told(session, first.thread.id)).tokens)

    begun = await session.states.begin(saved.id)
    both = [await ask(session, each, "And now?", GREEDY) for each in (first.thread.id, begun.id)]
    texts = [(await told(session, each.thread.id)).tokens for each in both]
    assert texts[0] == texts[1], "the persona knows what the conversation knew"
    assert both[1].usage is not None
    assert both[1].usage.history_tokens == 0, "nothing was read again"


# ------------------------------------------------------------------------------------------------ sharing


async def test_a_persona_goes_to_another_machine_and_is_kept_apart_until_it_is_confirmed(
    tmp_path: Path, opened: list[Session]
) -> None:
    model = model_folder(tmp_path / "model")
    here = await open_real(tmp_path / "here", model)
    opened.append(here)
    first = await ask(here, None, "I am a scribe.")
    mine = await save(here, first.thread.id, tags=("role",))
    shared = await here.states.export(mine.id, tmp_path / "scribe.safetensors")
    assert (shared.messages, shared.states, shared.reveals) == (2, 1, True)
    assert shared.nbytes > mine.states[0].nbytes

    there = await open_real(tmp_path / "there", model)
    opened.append(there)
    taken = await there.states.import_(tmp_path / "scribe.safetensors")
    assert (taken.name, taken.kind, taken.tags, taken.messages) == ("Scribe", "imported", ("role",), 2)
    assert not taken.states[0].trusted
    assert len((await there.states.inspect(taken.id)).norms) > 0
    assert await there.states.import_(tmp_path / "scribe.safetensors") == taken, "it is here already"

    begun = await there.states.begin(taken.id)
    both = [await ask(s, t, "And now?") for s, t in ((here, first.thread.id), (there, begun.id))]
    assert (await told(here, first.thread.id)).tokens == (await told(there, begun.id)).tokens
    assert both[1].usage is not None
    assert both[1].usage.history_tokens == 0, "it opened at once"
    own = await there.chats.send(None, "I am a scribe.", GREEDY).result()
    assert own.usage.source == "fresh", "what came from outside served nobody else"  # pyright: ignore

    *_, outcome = [each async for each in there.states.confirm(taken.id)]
    assert isinstance(outcome, Confirmed)
    assert outcome.agrees
    assert outcome.difference < 1e-3
    (trusted,) = await there.states.list()
    assert trusted.states[0].trusted
    assert trusted.states[0].nbytes > 0
    assert list(Paths.under(tmp_path / "there").outside.iterdir()) == []
    again = await ask(there, begun.id, "And then?")
    assert again.thread.initial == ""


async def test_a_state_that_holds_what_its_text_does_not_show_is_found_out(
    tmp_path: Path, opened: list[Session]
) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    honest = await ask(session, None, "I am a scribe.")
    other = await ask(session, None, "I am a spy and listen.")
    mine, spy = [await save(session, each.thread.id, name) for each, name in ((honest, "A"), (other, "B"))]
    await session.states.export(mine.id, tmp_path / "a.safetensors")
    await session.states.export(spy.id, tmp_path / "b.safetensors")
    (header, _), (_, data) = (read_portable(tmp_path / name) for name in ("a.safetensors", "b.safetensors"))
    about = json.loads(header.metadata[ABOUT])
    key = StateKey(**{each: header.metadata[f"key.{each}"] for each in StateKey.__dataclass_fields__})
    (tmp_path / "forged.safetensors").write_bytes(portable(header, data, key, about))

    taken = await session.states.import_(tmp_path / "forged.safetensors")
    *_, outcome = [each async for each in session.states.confirm(taken.id)]
    assert isinstance(outcome, Confirmed)
    assert not outcome.agrees
    assert outcome.difference > 0.01
    kept = await session.states.find(taken.id)
    assert not kept.states[0].trusted
    begun = await session.states.begin(taken.id)
    assert begun.initial
    assert (await session.states.find(mine.id)).states == mine.states


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about.update(format="other"),
        lambda about: about.update(tokens=[[1], [2]]),
        lambda about: about.update(tokens=[[-1]]),
        lambda about: about.update(messages="no"),
        lambda about: about["messages"][0].update(role="root"),
        lambda about: about["messages"].pop(),
        lambda about: about.update(name=7),
        lambda about: about.update(sampling=[]),
    ],
)
async def test_a_hostile_file_is_refused_whole(
    tmp_path: Path, opened: list[Session], exported: Path, change: Callable[[dict], None]
) -> None:
    header, data = read_portable(exported)
    about = json.loads(header.metadata[ABOUT])
    change(about)
    key = StateKey(**{each: header.metadata[f"key.{each}"] for each in StateKey.__dataclass_fields__})
    (tmp_path / "bad.safetensors").write_bytes(portable(header, data, key, about))
    session = await open_real(tmp_path / "home", exported.parent / "model" / "tiny.safetensors")
    opened.append(session)
    with pytest.raises(StateFileInvalid):
        await session.states.import_(tmp_path / "bad.safetensors")
    assert await session.states.list() == ()
    assert list(session.paths.outside.iterdir()) == []


async def test_damage_is_noticed_and_names_of_files_are_not_believed(
    tmp_path: Path, opened: list[Session], exported: Path
) -> None:
    session = await open_real(tmp_path / "home", exported.parent / "model" / "tiny.safetensors")
    opened.append(session)
    whole = await asyncio.to_thread(exported.read_bytes)
    for at in (len(whole) - 1, 40):
        (tmp_path / "x.safetensors").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(StateFileInvalid):
            await session.states.import_(tmp_path / "x.safetensors")
    header, data = read_portable(exported)
    about = json.loads(header.metadata[ABOUT]) | {"template": "../../x", "sampling": {"top_p": 9, "x": 1}}
    key = StateKey("a" * 64, "fp32", "", "", "../" * 20)
    (tmp_path / "y.safetensors").write_bytes(portable(header, data, key, about))
    taken = await session.states.import_(tmp_path / "y.safetensors")
    assert (taken.template, taken.sampling) == ("", {})
    assert taken.states[0].prefix != key.prefix, "the key is derived from the tokens"
    with pytest.raises(PersonaOfOtherModel):
        await session.states.begin(taken.id)


@pytest.fixture(scope="module")
async def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    session = await open_real(folder / "home", model_folder(folder / "model"))
    try:
        end = await ask(session, None, "I am a scribe.")
        saved = await save(session, end.thread.id)
        await session.states.export(saved.id, folder / "scribe.safetensors")
        with pytest.raises(FileInTheWay):
            await session.states.export(saved.id, folder / "scribe.safetensors")
    finally:
        await session.close()
    return folder / "scribe.safetensors"


# -------------------------------------------------------------------------------- other models


async def test_another_model_is_refused_with_the_reason_and_reads_the_text(
    tmp_path: Path, opened: list[Session]
) -> None:
    one, other = model_folder(tmp_path / "one"), model_folder(tmp_path / "other", seed=4)
    session = await open_real(tmp_path / "home", one)
    opened.append(session)
    end = await ask(session, None, "I am a scribe.")
    saved = await save(session, end.thread.id)
    await session.models.use(other)
    with pytest.raises(PersonaOfOtherModel) as refused:
        await session.states.begin(saved.id)
    assert (refused.value.name, refused.value.models) == ("Scribe", (saved.states[0].model_name,))

    *progress, rebuilt = [each async for each in session.states.rebuild(saved.id)]
    assert isinstance(rebuilt, Persona)
    assert [each.total for each in progress if isinstance(each, Prefilled)][-1:] == [rebuilt.states[1].tokens]
    assert {each.model for each in rebuilt.states} == {saved.states[0].model, rebuilt.states[1].model}
    begun = await session.states.begin(saved.id)
    answer = await ask(session, begun.id, "And now?")
    assert answer.usage is not None
    assert answer.usage.history_tokens == 0


async def test_what_is_no_state_is_told_in_words_of_its_own(tmp_path: Path, opened: list[Session]) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "talk.capsule", "w") as archive:
        for name in (capsule_files.ABOUT, capsule_files.CONVERSATION):
            archive.writestr(name, "{}")
    for name in ("junk.bin", "junk.pth", "junk.safetensors"):
        (tmp_path / name).write_text("junk")
    for name, hint in (
        ("folder", "folder"),
        ("talk.capsule", "capsule"),
        ("junk.bin", "unknown"),
        ("junk.pth", "damaged"),
        ("junk.safetensors", "damaged"),
    ):
        with pytest.raises(StateFileInvalid) as caught:
            await session.states.import_(tmp_path / name)
        assert caught.value.hint == hint, name
        assert "weights" not in sentence(caught.value)
    with pytest.raises(FileNotFoundError):
        await session.states.import_(tmp_path / "nowhere.pth")


async def test_a_tuned_state_is_a_persona_too(tmp_path: Path, opened: list[Session]) -> None:
    model = model_folder(tmp_path / "model")
    spec = tiny.spec()
    H, N = spec.n_head, spec.head_size
    names = (f"blocks.{layer}.att.time_state" for layer in range(spec.n_layer))
    torch.save({name: 30 * torch.randn(H, N, N) for name in names}, tmp_path / "poet.pth")
    torch.save({"blocks.0.att.time_state": torch.randn(H, N, N)}, tmp_path / "small.pth")
    session = await open_real(tmp_path / "home", model)
    opened.append(session)
    poet = await session.states.import_(tmp_path / "poet.pth")
    assert (poet.name, poet.kind, poet.states) == ("poet", "tuned", ())
    assert await session.states.import_(tmp_path / "poet.pth") == poet
    begun = await session.states.begin(poet.id)
    tuned, plain = [await ask(session, each, "Hello") for each in (begun.id, None)]
    assert tuned.node.message.text != plain.node.message.text  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(TunedStateMismatch):
        await session.states.import_(tmp_path / "small.pth")
    await session.close()

    again = await open_real(tmp_path / "home", model)
    opened.append(again)
    reply = await ask(again, begun.id, "And now?")
    assert reply.usage is not None
    assert reply.usage.history_tokens == 0, "its state was saved, and what it begins from is made ready"
    saved = await save(again, begun.id, "Reader")
    assert saved.states[0].trusted, "all of it was read here, after the tuned state"
    other = await again.states.begin(saved.id)
    assert other.initial == begun.initial
    both = [await ask(again, each, "What then?") for each in (begun.id, other.id)]
    assert [each.usage.history_tokens for each in both if each.usage] == [0, 0]
    assert (await told(again, begun.id)).tokens == (await told(again, other.id)).tokens
    await again.states.remove(poet.id)
    assert len(list(again.paths.outside.iterdir())) == 1, "a conversation begins from it"


# ------------------------------------------------------------------------------------------------ the library


async def test_personas_are_found_changed_and_removed(tmp_path: Path, opened: list[Session]) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    end = await ask(session, None, "I am a scribe.")
    one, two = [await save(session, end.thread.id, name) for name in ("Scribe", "Scribble")]
    assert [each.name for each in await session.states.list()] == ["Scribble", "Scribe"]
    assert (await session.states.find("scribe")).id == one.id
    with pytest.raises(PersonaAmbiguous):
        await session.states.find("scr")
    with pytest.raises(PersonaUnknown):
        await session.states.find("none")
    changed = await session.states.change(two.id, name="Clerk", description="files", tags=("office",))
    assert (changed.name, changed.description, changed.tags) == ("Clerk", "files", ("office",))
    profile = await session.states.inspect(one.id)
    assert len(profile.norms) > 0
    changes = await session.states.compare(one.id, two.id)
    assert all(change == 0 for row in changes.heads for change in row), "they are of the same message"
    await session.states.remove(one.id)
    await session.states.remove(two.id)
    assert await session.states.list() == ()
    again = await ask(session, end.thread.id, "And now?")
    assert again.usage is not None
    assert again.usage.history_tokens == 0, "the conversation's own state is still there"


async def test_what_was_made_from_a_conversation_is_named(tmp_path: Path, opened: list[Session]) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    one, other = await ask(session, None, "First"), await ask(session, None, "Second")
    saved = await save(session, one.thread.id)
    branch = await session.branches.branch(one.thread.id, one.node.id)  # pyright: ignore
    assert [each.id for each in await session.states.made_from(one.thread.id)] == [saved.id]
    assert [each.id for each in await session.states.made_from(branch.id)] == [saved.id]
    assert await session.states.made_from(other.thread.id) == ()


def test_files_that_are_given_away_are_synced_and_nothing_is_overwritten(tmp_path: Path, asked: list) -> None:
    put_beside(tmp_path / "file", lambda: b"one")
    with pytest.raises(FileInTheWay):
        put_beside(tmp_path / "file", lambda: b"two")
    assert (tmp_path / "file").read_bytes() == b"one"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert len([each for each in asked if each[0] == "move"]) == 1


async def test_an_empty_conversation_has_nothing_to_save(tmp_path: Path, opened: list[Session]) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    empty = await session.chats.create()
    with pytest.raises(NothingToSave):
        await save(session, empty.id)


async def test_what_states_take_up_is_told_by_conversation(tmp_path: Path, opened: list[Session]) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    one = await ask(session, None, "First")
    two = await ask(session, None, "Second")
    await ask(session, two.thread.id, "And more")
    await save(session, one.thread.id)
    use = await session.states.usage()
    by = {each.thread: each for each in use.chats}
    assert by[two.thread.id].states == 4
    assert by[one.thread.id].states == 2
    assert use.chats[0].thread == two.thread.id, "most bytes first"
    assert use.disk_bytes == sum(each.nbytes for each in use.chats) + use.other
    assert 0 < use.held_bytes < use.disk_bytes
    assert (use.resumed, use.asked, use.hit_rate) == (2, 2, 1.0)
    assert {each.shared for each in use.chats} == {0}
    same = await ask(session, None, "First")  # the same words: the state after them serves both
    use = await session.states.usage()
    by = {each.thread: each for each in use.chats}
    assert by[same.thread.id].shared == by[one.thread.id].shared > 0
    assert by[two.thread.id].shared == 0
    thread = await session.states.hold(one.thread.id, on=True)
    assert thread.held
    assert (await session.states.thin()).states == 0


async def test_a_conversation_speaks_with_the_sampling_of_its_persona(
    tmp_path: Path, opened: list[Session]
) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    end = await ask(session, None, "I am a scribe.")
    saved = await save(session, end.thread.id, sampling={"max_tokens": 3, "top_p": 7})
    begun = await session.states.begin(saved.id)
    reply = await session.chats.send(begun.id, "Short?").result()
    assert isinstance(reply, Answered)
    assert reply.usage is not None
    assert reply.usage.reply_tokens <= 3, "and what is not allowed is left out"


async def test_the_budget_is_changed_at_once_and_what_does_not_fit_is_told(
    tmp_path: Path, opened: list[Session]
) -> None:
    session = await open_real(tmp_path / "home", model_folder(tmp_path / "model"))
    opened.append(session)
    end = await ask(session, None, "I am a scribe.")
    await session.models.identified()
    await save(session, end.thread.id)
    await session.change_settings(snapshot_budget_gb=9e-6, snapshot_ram_gb=1e-6)
    use = await session.states.usage()
    assert (use.disk_budget, use.ram_budget) == (9_000, 1_000)
    assert use.disk_bytes <= 9_000
    events = [event async for event in session.chats.send(None, "More?", GREEDY)]
    refused = [event.error for event in events if isinstance(event, NotSaved)]
    assert refused
    assert all(isinstance(each, StoreFull) for each in refused)
