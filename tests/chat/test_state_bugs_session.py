"""Recurrent-state bugs that other programs had, as regression tests through the whole session.

The oracle is always the same: a reply must be what a session without any saved state gives for the same
conversation.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from engine.errors import WorkerDied
from engine.types import Prefilled, SamplingParams, StopRule
from rwkv_chat import templates
from rwkv_chat.library import threads
from rwkv_chat.paths import Paths
from rwkv_chat.session import ReplyGrew, Session, TurnFailed
from tests.chat.real import (
    GREEDY,
    answered,
    ask,
    kill_worker,
    model_folder,
    open_real,
    reply_tokens,
    snapshots,
    told,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from rwkv_chat.session.border import TokenizerLike

SAMPLED = SamplingParams(
    temperature=1.0, top_p=0.9, presence_penalty=0.8, frequency_penalty=0.4, max_tokens=16, seed=11
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture
async def session(tmp_path: Path, model: Path) -> AsyncIterator[Session]:
    opened = await open_real(tmp_path / "home", model)
    yield opened
    await opened.close()


async def rebuilt(home: Path, model: Path, thread: str, text: str, params: SamplingParams) -> tuple:
    """The reply that a copy of `home` without any saved state gives."""
    copy = home.with_name(f"{home.name}-rebuilt")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(home, copy)
    shutil.rmtree(Paths.under(copy).states)
    session = await open_real(copy, model)
    end = await ask(session, thread, text, params)
    assert end.usage is not None
    assert end.usage.source == "rebuilt"
    tokens = await reply_tokens(session, thread)
    await session.close()
    return tokens


async def resumed(home: Path, model: Path, thread: str, text: str, params: SamplingParams) -> tuple:
    """The reply after closing and opening again, and nothing is fed again."""
    session = await open_real(home, model)
    end = await ask(session, thread, text, params)
    assert end.usage is not None
    assert (end.usage.source, end.usage.history_tokens) == ("disk", 0)
    tokens = await reply_tokens(session, thread)
    await session.close()
    return tokens


@pytest.mark.parametrize(
    ("worker", "params"),
    [("thread", GREEDY), ("thread", SAMPLED), ("process", SAMPLED)],
    ids=["thread-greedy", "thread-penalties", "process-penalties"],
)
async def test_uninterrupted_resumed_and_rebuilt_are_one(
    tmp_path: Path, model: Path, worker: Literal["thread", "process"], params: SamplingParams
) -> None:
    """Bugs 7, 8 and 10, and the promise itself, token for token."""
    home = tmp_path / "home"
    session = await open_real(home, model, worker)
    thread = (await ask(session, None, "one", params)).thread.id
    await ask(session, thread, "two", params)
    await session.close()
    again = await rebuilt(home, model, thread, "three", params)
    at_once = await resumed(home, model, thread, "three", params)
    uninterrupted = await open_real(tmp_path / "straight", model, worker)
    other = (await ask(uninterrupted, None, "one", params)).thread.id
    await ask(uninterrupted, other, "two", params)
    await ask(uninterrupted, other, "three", params)
    straight = await reply_tokens(uninterrupted, other)
    await uninterrupted.close()
    assert len(straight) > 2
    assert straight == at_once == again


async def test_1_regenerate_rewinds(session: Session) -> None:
    first = await ask(session, None, "one")
    before = await reply_tokens(session, first.thread.id)
    for _ in range(2):
        again = await answered(session.chats.regenerate(first.thread.id, GREEDY))
        assert await reply_tokens(session, first.thread.id) == before
        assert again.usage is not None
        assert (again.usage.history_tokens, again.usage.prompt_tokens) == (0, 0)
    sampled = [
        await answered(session.chats.regenerate(first.thread.id, SAMPLED))
        and await reply_tokens(session, first.thread.id)
        for _ in range(2)
    ]
    assert sampled[0] == sampled[1] != before


async def test_2_a_new_chat_does_not_remember_the_old(session: Session, tmp_path: Path, model: Path) -> None:
    old = await ask(session, None, "my name is Ada")
    await ask(session, old.thread.id, "remember it")
    new = await ask(session, None, "who am I?")
    fresh = await open_real(tmp_path / "fresh", model)
    control = await ask(fresh, None, "who am I?")
    assert await reply_tokens(session, new.thread.id) == await reply_tokens(fresh, control.thread.id)
    assert new.usage is not None
    assert new.usage.source == "fresh"
    await fresh.close()


async def test_3_states_are_copied_never_shared(session: Session, tmp_path: Path, model: Path) -> None:
    """Two threads with the same beginning, and going on from it in different ways, in turn."""
    one, two = [(await ask(session, None, "same")).thread.id for _ in range(2)]
    await asyncio.gather(ask(session, one, "left"), ask(session, two, "right"))
    await answered(session.chats.regenerate(one, SAMPLED))
    await ask(session, two, "right again")
    last = [
        await ask(session, thread, "last") and await reply_tokens(session, thread) for thread in (one, two)
    ]
    paths = [await told(session, thread) for thread in (one, two)]
    for path, tokens in zip(paths, last, strict=True):
        assert await _control(tmp_path, model, session, path.nodes[0].id, path.tokens, tokens)


async def _control(
    tmp_path: Path, model: Path, session: Session, name: str, fed: tuple, tokens: tuple
) -> bool:
    """A bare engine without any saved state says the same after the same tokens."""
    from engine.service import Engine
    from engine.types import Finished, GenerateRequest, Loaded, LoadRequest

    engine = Engine(tmp_path / f"control-{name}", worker="thread", threads=1)
    loaded = engine.load(LoadRequest(str(model), session.models.current.tokenizer, "cpu", "fp32")).result()
    assert isinstance(loaded, Loaded)
    stop = templates.template("classic").stop
    history = fed[: len(fed) - len(tokens)]
    end = await asyncio.to_thread(engine.submit(GenerateRequest(history, params=GREEDY, stop=stop)).result)
    engine.close()
    assert isinstance(end, Finished)
    return end.tokens == tokens


async def test_4_a_prefix_known_whole_still_gives_a_first_token(tmp_path: Path, model: Path) -> None:
    home = tmp_path / "home"
    session = await open_real(home, model)
    thread = (await ask(session, None, "one")).thread.id
    before = await reply_tokens(session, thread)
    await session.close()
    session = await open_real(home, model)
    again = await answered(session.chats.regenerate(thread, GREEDY))
    assert again.usage is not None
    assert (again.usage.source, again.usage.history_tokens) == ("disk", 0)
    assert await reply_tokens(session, thread) == before
    await session.close()


async def test_5_a_state_is_only_used_at_its_own_position(
    session: Session, tmp_path: Path, model: Path
) -> None:
    """Back to an earlier tip, where the newest state doesn't belong."""
    thread = (await ask(session, None, "one")).thread.id
    early = (await told(session, thread)).nodes[-1].id
    await ask(session, thread, "two")
    await ask(session, thread, "three")
    await session.library.run(threads.move_tip, thread, early)
    end = await ask(session, thread, "three")
    path = await told(session, thread)
    assert len(path.nodes) == 4
    assert end.usage is not None
    assert end.usage.history_tokens == 0
    assert await _control(tmp_path, model, session, "five", path.tokens, path.nodes[-1].tokens or ())


@pytest.mark.parametrize("damage", ["deleted", "emptied", "cut", "flipped"])
async def test_6_a_lost_or_damaged_state_is_rebuilt_and_said(
    tmp_path: Path, model: Path, damage: str
) -> None:
    home = tmp_path / "home"
    session = await open_real(home, model)
    thread = (await ask(session, None, "one")).thread.id
    await ask(session, thread, "two")
    await session.close()
    expected = await rebuilt(home, model, thread, "three", GREEDY)
    for file in snapshots(home):
        _damage(file, damage)
    session = await open_real(home, model)
    turn = session.chats.send(thread, "three", GREEDY)
    reading = [event async for event in turn if isinstance(event, Prefilled)]
    end = await answered(turn)
    assert end.usage is not None
    assert end.usage.source == "rebuilt"
    assert end.usage.history_tokens > 0
    assert all(each.rebuilt for each in reading)
    assert reading[-1].done == reading[-1].total
    assert await reply_tokens(session, thread) == expected
    await session.close()


async def test_6_only_what_is_missing_is_read_again(tmp_path: Path, model: Path) -> None:
    """The state after the last reply is lost; the one before it is not: the reply alone is fed again."""
    home = tmp_path / "home"
    session = await open_real(home, model)
    thread = (await ask(session, None, "one")).thread.id
    before = set(snapshots(home))
    await ask(session, thread, "two")
    path = await told(session, thread)
    lost = path.nodes[-1].prefix or "none"
    await session.close()
    [file] = [each for each in set(snapshots(home)) - before if each.name.startswith(lost[:32])]
    file.unlink()
    session = await open_real(home, model)
    end = await ask(session, thread, "three")
    assert end.usage is not None
    assert end.usage.source == "rebuilt"
    assert 0 < end.usage.history_tokens <= len(path.nodes[-1].tokens or ())
    after = await told(session, thread)
    assert await _control(tmp_path, model, session, "near", after.tokens, after.nodes[-1].tokens or ())
    await session.close()


def _damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "deleted":
        file.unlink()
        return
    if how == "emptied":
        content.clear()
    if how == "cut":
        del content[len(content) // 2 :]
    if how == "flipped":
        content[-100] ^= 0x10
    file.write_bytes(content)


async def test_8_no_turn_reads_the_conversation_again(session: Session) -> None:
    """Nor is more fed than the new turn, be the reply stopped, regenerated or whole."""
    thread = None
    for turn in range(6):
        end = await ask(session, thread, f"turn {turn}")
        thread = end.thread.id
        assert end.usage is not None
        path = await told(session, thread)
        assert end.usage.history_tokens == 0
        assert end.usage.prompt_tokens == len(path.nodes[-2].tokens or ())
        if turn % 2:
            await answered(session.chats.regenerate(thread, SAMPLED))


async def test_9_a_second_generation_and_many_at_once(session: Session) -> None:
    ends = await asyncio.gather(*(ask(session, None, f"number {n}") for n in range(4)))
    assert [each.reason in ("stop", "length") for each in ends] == [True] * 4
    for each in ends:
        await ask(session, each.thread.id, "again")


async def test_11_what_is_trimmed_from_the_text_is_trimmed_from_the_state(
    session: Session, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop texts that the model really writes, wherever they lie across its tokens."""
    speaker = await session.models.ready() and await session.models.speaking()
    params = replace(GREEDY, max_tokens=40, bans=_not_readable(speaker.tokenizer))
    thread = (await ask(session, None, "one", params)).thread.id
    raw = speaker.tokenizer.decode_bytes(await reply_tokens(session, thread)).decode()
    assert len(raw) > 30
    for place in (6, 11, 23):
        stop = raw[place : place + 3]
        trimmed = raw[: raw.index(stop)]
        cut = replace(speaker.template, stop=StopRule((0,), (stop,)))
        monkeypatch.setattr(session.models, "speaker", replace(speaker, template=cut))
        end = await answered(session.chats.regenerate(thread, params))
        assert end.node is not None
        assert end.reason == "stop"
        assert end.node.message.text == trimmed.lstrip()
        chain = await told(session, thread)
        assert speaker.tokenizer.decode_bytes(chain.nodes[-1].tokens or ()).decode() == trimmed
        monkeypatch.setattr(session.models, "speaker", speaker)
        after = await ask(session, thread, "go on")
        assert after.usage is not None
        assert after.usage.history_tokens == 0
        path = await told(session, thread)
        assert await _control(tmp_path, model, session, f"s{place}", path.tokens, path.nodes[-1].tokens or ())
        await session.library.run(threads.move_tip, thread, chain.nodes[-1].id)


def _not_readable(tokenizer: TokenizerLike) -> tuple[int, ...]:
    """Tokens that are no printable ASCII, and the end: what is left makes a text to cut anywhere."""
    texts = {token: tokenizer.decode_bytes((token,)) for token in range(1, 264)}
    return (
        0,
        *(token for token, text in texts.items() if not (text.isascii() and text.decode().isprintable())),
    )


async def test_12_no_character_is_cut_and_what_is_shown_is_stored(session: Session) -> None:
    """A random model writes bytes that make no sense: every piece is whole text, and they add up."""
    params = SamplingParams(temperature=2.0, top_p=1.0, max_tokens=200, seed=5)
    turn = session.chats.send(None, "héé 漢字 👩‍🚀", params)
    shown = "".join([each.text async for each in turn if isinstance(each, ReplyGrew)])
    end = await answered(turn)
    assert end.node is not None
    path = await told(session, end.thread.id)
    decode = (await session.models.speaking()).tokenizer.decode_bytes
    whole = decode(path.nodes[-1].tokens or ()).decode("utf-8", "replace")
    assert shown == end.node.message.text
    assert whole.lstrip().startswith(shown.rstrip("\ufffd"))
    assert decode((path.nodes[0].tokens or ())[1:]).decode() == "User: héé 漢字 👩‍🚀\n\nAssistant:"


async def test_a_stopped_reply_goes_on_from_exactly_what_was_kept(
    session: Session, tmp_path: Path, model: Path
) -> None:
    turn = session.chats.send(None, "one", replace(SAMPLED, max_tokens=100_000))
    async for event in turn:
        if isinstance(event, ReplyGrew) and event.tokens > 20:
            turn.stop()
    end = await answered(turn)
    assert end.node is not None
    assert end.reason == "cancelled"
    after = await ask(session, turn.thread, "two")
    assert after.usage is not None
    assert after.usage.history_tokens == 0
    path = await told(session, turn.thread)
    assert await _control(tmp_path, model, session, "stop", path.tokens, path.nodes[-1].tokens or ())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
async def test_a_killed_worker_loses_nothing_that_was_shown(tmp_path: Path, model: Path) -> None:
    """The process that computes dies: the partial reply stays, and the next turn goes on from it."""
    session = await open_real(tmp_path / "home", model, "process")
    turn = session.chats.send(None, "one", replace(SAMPLED, max_tokens=100_000, bans=(0,)))
    shown = ""
    async for event in turn:
        if isinstance(event, ReplyGrew):
            shown += event.text
            kill_worker(session)
    end = await turn.result()
    assert isinstance(end, TurnFailed)
    assert isinstance(end.error, WorkerDied)
    assert shown
    assert (await session.chats.open(turn.thread)).nodes[-1].message.text == shown
    await ask(session, turn.thread, "two")
    path = await told(session, turn.thread)
    assert await _control(tmp_path, model, session, "died", path.tokens, path.nodes[-1].tokens or ())
    await session.close()
