"""Which adapter is in the model when something is asked for: one at a time, in the order of the questions; a
fake engine answers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine.errors import DiskFailed, ModelNotLoaded, WeightsCorrupt
from engine.types import FeedRequest
from rwkv_chat.explain import sentence
from rwkv_chat.library import adapters, states, threads
from rwkv_chat.library.adapters import StoredAdapter
from rwkv_chat.library.states import MadeState, StoredPersona
from rwkv_chat.paths import Paths
from rwkv_chat.session import TurnFailed
from rwkv_chat.session.errors import AdapterGone, NotForSpeaking, PersonaOfOtherModel
from rwkv_chat.verification import verification
from tests.chat.talk import answered
from tests.fakes import ID, FakeEngine, fake_session

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Session

ONE, OTHER = "1" * 32, "2" * 32


async def kept(session: Session, id_: str, model: str = ID) -> str:
    """An adapter in the library; the id of its persona."""
    folder = session.paths.adapters / id_
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"numbers")
    made = StoredAdapter(id_, "lora", id_, f"Adapter {id_[0]}", model, "Fake guide")
    state = MadeState("", "", "", "", "", (), adapter=id_)
    persona = StoredPersona(threads.new_id(), made.name, "adapter", states=(state,))
    return (await session.library.run(adapters.add, made, persona)).id


@pytest.fixture
async def speaking(tmp_path: Path, opened: list[Session]) -> tuple[Session, FakeEngine]:
    engine = FakeEngine()
    opened.append(session := await fake_session(tmp_path, engine))
    await session.models.ready()
    return session, engine


def paths_of(engine: FakeEngine) -> list[str]:
    return ["" if each.path is None else each.path[-32:] for each in engine.adapts]


async def test_each_conversation_speaks_with_its_own(speaking: tuple[Session, FakeEngine]) -> None:
    session, engine = speaking
    one, other = await kept(session, ONE), await kept(session, OTHER)
    plain = (await answered(session.chats.send(None, "Hello"))).thread.id
    assert engine.adapts == []
    first, second = await session.states.begin(one), await session.states.begin(other)
    for thread in (first.id, first.id, second.id, plain, plain, first.id):
        await answered(session.chats.send(thread, "Hello"))
    assert paths_of(engine) == [ONE, OTHER, "", ONE]


async def test_nothing_comes_between_an_adapter_and_its_question(
    speaking: tuple[Session, FakeEngine],
) -> None:
    """Asked at once, every request is answered by the adapter that was changed to last before it."""
    session, engine = speaking
    await kept(session, ONE), await kept(session, OTHER)
    order: list[str] = []
    adapt, submit = engine.adapt, engine.submit
    engine.adapt = lambda request: order.append(request.path[-32:] if request.path else "") or adapt(request)
    engine.submit = lambda request: order.append(f"asked {request.prompt[0]}") or submit(request)
    wanted = [ONE, OTHER, "", ONE, OTHER, OTHER, "", ONE]
    asking = session.turns.desk.adapters.submit
    await asyncio.gather(*(asking(FeedRequest((at + 1,)), each) for at, each in enumerate(wanted)))
    now = ""
    for each in order:
        if each.startswith("asked"):
            assert wanted[int(each.split()[1]) - 1] == now
        else:
            now = each
    assert sum(each.startswith("asked") for each in order) == len(wanted)


async def test_one_that_cannot_be_read_fails_the_turn_and_no_other(
    speaking: tuple[Session, FakeEngine],
) -> None:
    session, engine = speaking
    thread = await session.states.begin(await kept(session, ONE))
    engine.adapt_error = DiskFailed("adapter", "no")
    end = await session.chats.send(thread.id, "Hello").result()
    assert isinstance(end, TurnFailed)
    assert isinstance(end.error, DiskFailed)
    await answered(session.chats.send(None, "Hello"))  # the model alone has stayed
    engine.adapt_error = None
    assert await session.chats.answer_pending(thread.id) is not None


async def test_one_that_changed_on_the_disk_is_refused(speaking: tuple[Session, FakeEngine]) -> None:
    session, _ = speaking
    await kept(session, ONE)
    session.paths.adapters.joinpath(ONE).rename(session.paths.adapters / OTHER)
    await session.library.run(lambda db: db.execute("UPDATE adapters SET file = ?", (OTHER,)).rowcount)
    with pytest.raises(WeightsCorrupt):
        await session.turns.desk.adapters.submit(FeedRequest((1,)), ONE)
    await session.turns.desk.adapters.submit(FeedRequest((1,)))


async def test_another_model_speaks_alone(speaking: tuple[Session, FakeEngine]) -> None:
    session, engine = speaking
    persona = await kept(session, ONE, model="e" * 64)
    thread = await session.chats.create("Of another")
    with pytest.raises(PersonaOfOtherModel):
        await session.states.begin(persona)
    with pytest.raises(PersonaOfOtherModel):
        await session.states.speak_with(thread.id, persona)
    await session.library.run(adapters.speak_with, thread.id, ONE, "")
    await answered(session.chats.send(thread.id, "Hello"))
    assert engine.adapts == []


async def test_tokens_for_one_model_never_reach_the_next(speaking: tuple[Session, FakeEngine]) -> None:
    """It was chosen while the adapter was put in, perhaps into that one: there it is taken out again."""
    session, engine = speaking
    thread = await session.states.begin(await kept(session, ONE))
    adapt, ask = engine.adapt, session.turns.desk.adapters.submit

    def another() -> None:
        session.models.unload()
        engine.adapt = adapt

    engine.adapt = lambda request: another() or adapt(request)
    with pytest.raises(ModelNotLoaded):
        await ask(FeedRequest((1,)), ONE)
    await session.models.ready()
    await ask(FeedRequest((1,)))
    assert paths_of(engine) == [ONE, ""]
    engine.adapt = lambda request: another() or adapt(request)
    await answered(session.chats.send(thread.id, "Hello"))
    assert paths_of(engine) == [ONE, "", ONE, ONE]


async def test_a_saved_state_is_nothing_to_speak_with(speaking: tuple[Session, FakeEngine]) -> None:
    session, _ = speaking
    lived = await session.library.run(states.add, StoredPersona(threads.new_id(), "Lived"))
    thread = await session.chats.create("One")
    with pytest.raises(NotForSpeaking):
        await session.states.speak_with(thread.id, lived.id)


async def test_it_stays_as_long_as_somebody_speaks_with_it(speaking: tuple[Session, FakeEngine]) -> None:
    session, _ = speaking
    persona = await kept(session, ONE)
    thread = await session.states.begin(persona)
    await session.states.remove(persona)
    assert (session.paths.adapters / ONE).is_dir()
    await answered(session.chats.send(thread.id, "Hello"))
    await session.states.speak_with(thread.id, None)
    await session.states.drop_unneeded()
    assert not (session.paths.adapters / ONE).exists()


async def test_one_that_is_gone_is_told(speaking: tuple[Session, FakeEngine], tmp_path: Path) -> None:
    session, _ = speaking
    thread = await session.states.begin(await kept(session, ONE))
    (session.paths.adapters / ONE / "adapter_model.safetensors").unlink()
    (session.paths.adapters / ONE).rmdir()
    found = await asyncio.to_thread(lambda: [*verification(Paths.under(tmp_path), repair=False)])
    assert any("Adapter 1" in each.text and not each.good for each in found)
    await session.library.run(adapters.remove, ONE)
    end = await session.chats.send(thread.id, "Hello").result()
    assert isinstance(end, TurnFailed)
    assert isinstance(end.error, AdapterGone)
    assert "adapter" in sentence(end.error)
