"""Thinking on a real engine: after a reply that thought, resumed equals rebuilt equals uninterrupted, in
every mode, whether thoughts are kept or not; and what a conversation costs another model.

A tiny random model says what it is told: its vocabulary has whole replies as single tokens, and biases choose
one and then the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from engine.errors import WorkerDied
from engine.types import Prefilled, SamplingParams
from rwkv_chat.session import HasRead, ReplyGrew, Session, TurnFailed
from tests.chat.real import GREEDY, answered, ask, kill_worker, model_folder, open_real, reply_tokens, told
from tests.chat.talk import until
from tests.chat.test_state_bugs_session import _control, rebuilt, resumed

if TYPE_CHECKING:
    from pathlib import Path

WORDS = (">Hm, well.\n</think>\n Yes, é.\n\nIndeed.", ">\nAt once.", " Plain.", ">Never \n\nUser: what?")
THOUGHT, FAST, SAID, CUT = range(263 + 1, 263 + 1 + len(WORDS))
MODES = {"none": SAID, "fast": FAST, "free": THOUGHT, "bit": THOUGHT, "lot": THOUGHT}
Worker = Literal["thread", "process"]


def saying(word: int, *, most: int = 20) -> SamplingParams:
    """Greedy: the word first, then the end, by biases that penalties turn around."""
    biases = ((word, 100.0), (0, 93.0))
    return SamplingParams(
        temperature=0, presence_penalty=5, frequency_penalty=5, biases=biases, max_tokens=most
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("model"), words=WORDS)


async def begun(home: Path, model: Path, worker: Worker, mode: str, *, keep: bool) -> tuple[Session, str]:
    """A conversation with one plain turn and one reply in `mode`, its memory settled; plain from then on."""
    session = await open_real(home, model, worker)
    thread = (await ask(session, None, "one")).thread.id
    await session.chats.configure(thread, template="classic", mode=mode, keep_reasoning=keep)
    end = await ask(session, thread, "two", saying(MODES[mode]))
    assert end.usage is not None
    assert end.usage.history_tokens == 0
    assert end.reason == "stop"
    await session.chats.settled(thread)
    await session.chats.configure(thread, mode="none")
    return session, thread


FEW = [
    *(
        ("none", False, "thread"),
        ("fast", False, "thread"),
        ("free", False, "thread"),
        ("bit", False, "thread"),
    ),
    *(("fast", True, "thread"), ("free", True, "thread"), ("lot", True, "thread")),
    *(("free", False, "process"), ("lot", True, "process")),
]
ALL = [(mode, keep, worker) for mode in MODES for keep in (False, True) for worker in ("thread", "process")]
MORE = [pytest.param(*each, marks=pytest.mark.long) for each in ALL if each not in FEW]


@pytest.mark.parametrize(("mode", "keep", "worker"), [*FEW, *MORE])
async def test_resumed_rebuilt_and_uninterrupted_are_one(
    tmp_path: Path, model: Path, mode: str, keep: bool, worker: Worker
) -> None:
    home = tmp_path / "home"
    session, thread = await begun(home, model, worker, mode, keep=keep)
    node = (await told(session, thread)).nodes[-1]
    thoughts = mode in ("free", "bit", "lot")
    assert bool(node.message.reasoning) == thoughts
    kept = (await session.models.speaking()).tokenizer.decode_bytes(node.tokens or ())
    assert (b"think" in kept) == (keep and mode != "none")
    await session.close()
    again = await rebuilt(home, model, thread, "three", GREEDY)
    at_once = await resumed(home, model, thread, "three", GREEDY)
    straight, other = await begun(tmp_path / "straight", model, "thread", mode, keep=keep)
    end = await ask(straight, other, "three")
    assert end.usage is not None
    assert (end.usage.source, end.usage.history_tokens) == ("device", 0)
    path = await told(straight, other)
    assert await reply_tokens(straight, other) == at_once == again
    assert await _control(tmp_path, model, straight, "bare", path.tokens, at_once)
    await straight.close()


async def test_an_answer_without_its_thoughts_is_the_chain_of_a_plain_reply(
    tmp_path: Path, model: Path
) -> None:
    """The plain form drops the answer's blank line, as it does everywhere in the chain."""
    session, thread = await begun(tmp_path, model, "thread", "lot", keep=False)
    decode = (await session.models.speaking()).tokenizer.decode_bytes
    path = await told(session, thread)
    whole = decode(path.tokens[1:]).decode()
    assert whole.endswith("\n\nUser: two\n\nAssistant: Yes, é.\nIndeed.")
    assert path.texts[-1] == "Yes, é.\n\nIndeed."
    assert path.nodes[-1].message.reasoning == "Hm, well.\n"
    await session.close()


@pytest.mark.parametrize("mode", ["free", "lot"])
async def test_another_reply_feeds_no_history_again(tmp_path: Path, model: Path, mode: str) -> None:
    session, thread = await begun(tmp_path, model, "thread", mode, keep=False)
    await session.chats.configure(thread, mode=mode)
    before = await told(session, thread)
    for _ in range(2):
        end = await answered(session.chats.regenerate(thread, saying(THOUGHT)))
        await session.chats.settled(thread)
        assert end.usage is not None
        assert end.usage.history_tokens == 0
        assert end.usage.prompt_tokens < 45
        assert (await told(session, thread)).tokens == before.tokens
    await session.chats.configure(thread, mode="none")
    end = await answered(session.chats.regenerate(thread, GREEDY))
    assert end.usage is not None
    assert end.usage.history_tokens <= len("\n\nAssistant:")  # the hint stood before that
    path = await told(session, thread)
    assert await _control(tmp_path, model, session, "again", path.tokens, path.nodes[-1].tokens or ())
    await session.close()


async def test_a_stop_text_inside_a_thought_ends_it(tmp_path: Path, model: Path) -> None:
    session, thread = await begun(tmp_path, model, "thread", "free", keep=False)
    await session.chats.configure(thread, mode="free")
    end = await ask(session, thread, "three", saying(CUT))
    assert end.node is not None
    assert (end.node.message.text, end.node.message.reasoning, end.reason) == ("", "Never ", "stop")
    await session.chats.settled(thread)
    await session.chats.configure(thread, mode="none")
    after = await ask(session, thread, "four")
    assert after.usage is not None
    assert after.usage.history_tokens == 0
    path = await told(session, thread)
    assert await _control(tmp_path, model, session, "stop", path.tokens, path.nodes[-1].tokens or ())
    await session.close()


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("mode", ["free", "bit"])
async def test_stopped_in_mid_thought_it_goes_on_from_what_is_remembered(
    tmp_path: Path, model: Path, mode: str, keep: bool
) -> None:
    session, thread = await begun(tmp_path, model, "thread", mode, keep=keep)
    await session.chats.configure(thread, mode=mode)
    turn = session.chats.send(thread, "three", replace(GREEDY, max_tokens=100_000, bans=(0,)))
    async for event in turn:
        if isinstance(event, ReplyGrew) and event.tokens > 20:
            turn.stop()
    end = await answered(turn)
    assert end.node is not None
    assert (end.node.status, end.node.message.text) == ("stopped", "")
    await session.chats.settled(thread)
    await session.chats.configure(thread, mode="none")
    after = await ask(session, thread, "four")
    assert after.usage is not None
    assert after.usage.history_tokens == 0
    path = await told(session, thread)
    assert bool(path.nodes[-3].tokens) == keep
    assert await _control(tmp_path, model, session, "mid", path.tokens, path.nodes[-1].tokens or ())
    await session.close()


async def test_a_worker_killed_in_mid_thought(tmp_path: Path, model: Path) -> None:
    session, thread = await begun(tmp_path / "home", model, "process", "free", keep=False)
    await session.chats.configure(thread, mode="free")
    turn = session.chats.send(thread, "three", replace(GREEDY, max_tokens=100_000, bans=(0,)))
    async for event in turn:
        if isinstance(event, ReplyGrew):
            kill_worker(session)
    end = await turn.result()
    assert isinstance(end, TurnFailed)
    assert isinstance(end.error, WorkerDied)
    await session.chats.configure(thread, mode="none")
    await ask(session, thread, "four")
    path = await told(session, thread)
    assert (path.nodes[-3].message.text, path.nodes[-3].tokens) == ("", ())
    assert path.nodes[-3].message.reasoning
    assert await _control(tmp_path, model, session, "died", path.tokens, path.nodes[-1].tokens or ())
    await session.close()


async def test_a_message_at_once_after_a_thought(tmp_path: Path, model: Path) -> None:
    """While the answer is still being read: no difference in what is said."""
    session = await open_real(tmp_path / "home", model)
    thread = (await ask(session, None, "one")).thread.id
    await session.chats.configure(thread, template="classic", mode="free")
    await ask(session, thread, "two", saying(THOUGHT))
    await session.chats.configure(thread, mode="none")
    await ask(session, thread, "three")
    path = await told(session, thread)
    assert await _control(tmp_path, model, session, "soon", path.tokens, path.nodes[-1].tokens or ())
    await session.close()


# -------------------------------------------------------------------------------- another model


async def test_a_conversation_is_read_for_another_model_and_the_old_states_stay(
    tmp_path: Path, model: Path
) -> None:
    other = model_folder(tmp_path / "other", seed=9, words=WORDS)
    session = await open_real(tmp_path / "home", model)
    thread = (await ask(session, None, "one")).thread.id
    await ask(session, thread, "two")
    await _identified(session)
    assert (await session.chats.to_read(thread)).tokens == 0
    fed = len((await told(session, thread)).tokens)
    await session.models.use(other)
    await _identified(session)
    ahead = await session.chats.to_read(thread)
    assert (ahead.tokens, ahead.seconds) == (fed, None)
    events = [event async for event in session.chats.read(thread)]
    assert isinstance(events[-1], HasRead)
    assert events[-1].usage is not None
    assert any(isinstance(each, Prefilled) for each in events)
    assert (await session.chats.to_read(thread)).tokens == 0
    end = await ask(session, thread, "three")
    assert end.usage is not None
    assert end.usage.history_tokens == 0
    assert (await session.chats.to_read(thread)).seconds == 0.0
    await session.models.use(model)
    await _identified(session)
    behind = await session.chats.to_read(thread)
    new = sum(len(each.tokens or ()) for each in (await told(session, thread)).nodes[-2:])
    assert behind.tokens == new
    assert behind.seconds is not None
    assert behind.seconds > 0
    await session.close()


async def _identified(session: Session) -> None:
    """States have their names on the disk once the model's id is known."""
    speaker = await session.models.speaking()

    async def named() -> bool:
        return bool(speaker.info.id)

    await until(named)


async def test_reading_is_stopped_and_goes_on(tmp_path: Path, model: Path) -> None:
    session = await open_real(tmp_path / "home", model)
    thread = (await ask(session, None, "word " * 8000)).thread.id
    await _identified(session)
    await session.models.use(model_folder(tmp_path / "other", seed=9, words=WORDS))
    await _identified(session)
    reading = session.chats.read(thread)
    async for event in reading:
        if isinstance(event, Prefilled) and event.done:
            reading.stop()
    assert await reading.result() == HasRead(thread, None)
    rest = [event async for event in session.chats.read(thread) if isinstance(event, Prefilled)]
    assert 0 < rest[0].done < rest[0].total == len((await told(session, thread)).tokens)
    end = await ask(session, thread, "and?")
    assert end.usage is not None
    assert end.usage.history_tokens == 0
    await session.close()
