"""Messages and the model: slow loads, failing loads, another model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.errors import ModelNotFound
from rwkv_chat.session import (
    Answered,
    Committed,
    WaitingForModel,
)
from tests.chat.talk import answered, begin, failed, said, stored, until
from tests.engine import tiny
from tests.fakes import ByteTokenizer, FakeEngine, fake_session


async def test_a_message_typed_while_the_model_loads_is_kept_and_answered(
    opened: list, tmp_path: Path
) -> None:
    session = await begin(opened, tmp_path, FakeEngine(load_delay=0.05))
    session.models.start()
    turn = session.chats.send(None, "Hi")
    events, on_disk = [], None
    async for event in turn:
        events.append(type(event))
        if isinstance(event, WaitingForModel):
            on_disk = said(await session.chats.open(turn.thread))
    assert on_disk == ["Hi"]
    assert events[:2] == [Committed, WaitingForModel]
    assert events[-1] is Answered


async def test_a_model_that_will_not_load_leaves_the_message(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine(load_error=ModelNotFound("x.pth"))
    session = await begin(opened, tmp_path, engine)
    turn = session.chats.send(None, "Hi")
    assert isinstance(await failed(turn), ModelNotFound)
    assert said(await session.chats.open(turn.thread)) == ["Hi"]
    with pytest.raises(ModelNotFound):
        await session.models.ready()
    engine.load_error = None
    again = await session.chats.answer_pending(turn.thread)
    assert again is not None
    assert (await answered(again)).node is not None


async def test_stop_while_the_model_loads(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine(load_delay=5))
    turn = session.chats.send(None, "Hi")
    async for event in turn:
        if isinstance(event, WaitingForModel):
            turn.stop()
    assert (await answered(turn)).node is None


async def test_quitting_while_the_model_loads_keeps_the_message(tmp_path: Path) -> None:
    session = await fake_session(tmp_path, FakeEngine(load_delay=5))
    turn = session.chats.send(None, "Hi")
    async for event in turn:
        if isinstance(event, WaitingForModel):
            break
    await session.close()
    again = await fake_session(tmp_path)
    assert said(await again.chats.open(turn.thread)) == ["Hi"]
    pending = await again.chats.answer_pending(turn.thread)
    assert pending is not None
    await answered(pending)
    await again.close()


async def test_watchers_see_the_load(opened: list, tmp_path: Path) -> None:
    session = await begin(opened, tmp_path, FakeEngine(load_delay=0.01))
    seen: list[str] = []

    async def watch() -> None:
        async for event in session.models.watch():
            seen.append(type(event).__name__)
            if seen[-1] == "Loaded":
                return

    watcher = asyncio.ensure_future(watch())
    info = await session.models.ready()
    await watcher
    assert seen == ["Progress", "Progress", "Progress", "Loaded"]
    assert session.models.info == info
    async for event in session.models.watch():
        assert type(event).__name__ == "Loaded"
        break


async def test_a_model_begins_to_load_when_it_was_written_down(
    opened: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever chose it hears of nothing before: a small one would be ready by then, and that was missed."""
    engine = FakeEngine()
    session = await begin(opened, tmp_path, engine)
    seen: list[int] = []
    monkeypatch.setattr(session.models, "_remember", lambda card: seen.append(len(engine.loads)))
    other = tiny.checkpoint(tmp_path / "other.pth")
    (tmp_path / "tokenizer.json").write_text("{}")
    before = len(engine.loads)
    await session.models.use(other)
    assert seen == [before]
    await session.models.ready()
    assert len(engine.loads) == before + 1


async def test_changing_the_model_reads_the_conversation_anew_and_keeps_the_old_tokens(
    opened: list, tmp_path: Path
) -> None:
    engine = FakeEngine([" One.\n\nMore.", " Two."])
    session = await begin(opened, tmp_path, engine)
    thread = (await answered(session.chats.send(None, "a"))).thread.id
    before = await stored(session, thread)
    other = tiny.checkpoint(tmp_path / "other.pth")
    vocabulary = tmp_path / "tokenizer.json"
    vocabulary.write_text("{}")
    card = await session.models.use(other)
    assert card.tokenizer.path == str(vocabulary)
    assert session.settings.model == str(other)
    await answered(session.chats.send(thread, "b"))
    encode, request = ByteTokenizer().encode, engine.requests[1]
    assert request.history == (0, *encode("User: a\n\nAssistant: One.\nMore."))
    assert await stored(session, thread) != []
    kept = {each.id: each.tokens for each in await stored(session, thread)}
    assert all(kept[each.id] == each.tokens for each in before)


async def test_a_model_changed_while_a_message_waits_answers_it(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine(load_delay=60.0)
    session = await begin(opened, tmp_path, engine)
    other = tiny.checkpoint(tmp_path / "other.pth", tiny.spec(vocab_size=65536))
    turn = session.chats.send(None, "Hi")

    async def loading() -> object:
        return engine.loads

    async for event in turn:
        if isinstance(event, WaitingForModel) and engine.load_delay:
            await until(loading)  # the first one's load has begun, and takes a minute
            engine.load_delay = 0.0
            await session.models.use(other)
    await answered(turn)
    assert [Path(each.path).name for each in engine.loads] == ["fake.safetensors", "other.pth"]
    assert len(engine.requests) == 1
