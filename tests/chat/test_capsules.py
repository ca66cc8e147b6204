"""Conversations as one file: with the same weights they open at once, with others they are read."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from engine.errors import FileInTheWay
from rwkv_chat.session import capsule_files
from rwkv_chat.session.capsule_files import ABOUT, CONVERSATION
from rwkv_chat.session.errors import CapsuleInvalid, NothingToConfirm, NothingToSave
from rwkv_chat.session.state_types import Confirmed, Shared
from tests.chat.real import ask, model_folder, open_real, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rwkv_chat.session import Session
    from rwkv_chat.session.capsules import Unpacked


async def export(session: Session, thread: str, path: Path) -> Shared:
    *_, shared = [each async for each in session.states.capsules.export(thread, path)]
    assert isinstance(shared, Shared)
    return shared


async def talk(session: Session) -> str:
    """Three turns, of which the second was answered twice and the first reply is bookmarked."""
    first = await ask(session, None, "First")
    assert first.node is not None
    await session.branches.bookmark(first.node.id, "here")
    await ask(session, first.thread.id, "Second")
    await session.chats.regenerate(first.thread.id).result()
    await ask(session, first.thread.id, "Third")
    return first.thread.id


@pytest.fixture(scope="module")
async def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `talk.capsule`, the model and the home that it comes from."""
    folder = tmp_path_factory.mktemp("packed")
    session = await open_real(folder / "home", model_folder(folder / "model"))
    try:
        shared = await export(session, await talk(session), folder / "talk.capsule")
        assert (shared.messages, shared.states, shared.reveals) == (6, 2, True)
        with pytest.raises(FileInTheWay):
            await export(session, (await session.chats.threads())[0].id, folder / "talk.capsule")
        with pytest.raises(NothingToSave):
            await export(session, (await session.chats.create()).id, folder / "empty.capsule")
    finally:
        await session.close()
    return folder


async def reopened(packed: Path, opened: list[Session]) -> Session:
    """The home that the capsule comes from."""
    session = await open_real(packed / "home", packed / "model" / "tiny.safetensors")
    opened.append(session)
    return session


async def unpacked(
    tmp_path: Path, packed: Path, opened: list[Session], seed: int = 3
) -> tuple[Session, Unpacked]:
    model = packed / "model" / "tiny.safetensors" if seed == 3 else model_folder(tmp_path / "model", seed)
    session = await open_real(tmp_path / "there", model)
    opened.append(session)
    return session, await session.states.capsules.import_(packed / "talk.capsule")


async def test_with_the_same_weights_it_opens_at_once_and_goes_on_as_it_would_have(
    tmp_path: Path, packed: Path, opened: list[Session]
) -> None:
    there, taken = await unpacked(tmp_path, packed, opened)
    assert (taken.new, taken.states) == (True, 2)
    shown = await there.chats.open(taken.thread.id)
    assert [each.message.text for each in shown.nodes][::2] == ["First", "Second", "Third"]
    assert [each.bookmark for each in shown.nodes].count("here") == 1
    assert (await there.chats.to_read(taken.thread.id)).tokens == 0, "nothing is offered to be read"
    after = await ask(there, taken.thread.id, "And now?")
    assert after.usage is not None
    assert (after.usage.history_tokens, after.usage.source) == (0, "ram")
    here = await reopened(packed, opened)
    (mine, *_) = [each for each in await here.chats.threads() if each.tip]
    await ask(here, mine.id, "And now?")
    assert (await told(here, mine.id)).tokens == (await told(there, taken.thread.id)).tokens


async def test_a_branch_is_given_away_up_to_any_of_its_messages(
    tmp_path: Path, packed: Path, opened: list[Session]
) -> None:
    here = await reopened(packed, opened)
    (mine, *_) = [each for each in await here.chats.threads() if each.tip]
    nodes = (await here.chats.open(mine.id)).nodes
    events = here.states.capsules.export(mine.id, tmp_path / "short.capsule", node=nodes[1].id)
    *_, shared = [each async for each in events]
    assert isinstance(shared, Shared)
    assert (shared.messages, shared.states) == (2, 1)
    model = packed / "model" / "tiny.safetensors"
    there = await open_real(tmp_path / "there", model)
    opened.append(there)
    taken = await there.states.capsules.import_(tmp_path / "short.capsule")
    assert len((await there.chats.open(taken.thread.id)).nodes) == 2
    assert (await there.chats.to_read(taken.thread.id)).tokens == 0


async def test_what_is_here_already_is_left_alone(
    tmp_path: Path, packed: Path, opened: list[Session]
) -> None:
    there, taken = await unpacked(tmp_path, packed, opened)
    again = await there.states.capsules.import_(packed / "talk.capsule")
    assert (again.new, again.thread) == (False, taken.thread)
    assert len(list(there.paths.outside.iterdir())) == 2


async def test_it_is_taken_in_like_any_file_of_conversations(
    tmp_path: Path, packed: Path, opened: list[Session]
) -> None:
    there = await open_real(tmp_path / "there", packed / "model" / "tiny.safetensors")
    opened.append(there)
    for new in (True, False):
        (found,) = await there.convs.import_(packed / "talk.capsule")
        assert found.new == new
    assert await there.states.capsules.unverified([found.thread.id]) == frozenset([found.thread.id])


async def test_its_states_serve_nobody_else_until_they_are_confirmed(
    tmp_path: Path, packed: Path, opened: list[Session]
) -> None:
    there, taken = await unpacked(tmp_path, packed, opened)
    own = await ask(there, None, "First")
    chosen = [own.thread.id, taken.thread.id]
    assert await there.states.capsules.unverified(chosen) == frozenset([taken.thread.id])
    assert own.usage is not None
    assert own.usage.source == "fresh"
    *progress, outcome = [each async for each in there.states.capsules.confirm(taken.thread.id)]
    assert isinstance(outcome, Confirmed)
    assert outcome.agrees
    assert len(progress) > 1
    assert await there.states.capsules.unverified([taken.thread.id]) == frozenset()
    assert list(there.paths.outside.iterdir()) == []
    after = await ask(there, taken.thread.id, "And now?")
    assert after.usage is not None
    assert after.usage.history_tokens == 0, "it goes on from what was read here"
    with pytest.raises(NothingToConfirm):
        _ = [each async for each in there.states.capsules.confirm(taken.thread.id)]


async def test_another_model_reads_it(tmp_path: Path, packed: Path, opened: list[Session]) -> None:
    there, taken = await unpacked(tmp_path, packed, opened, seed=4)
    with pytest.raises(NothingToConfirm):
        _ = [each async for each in there.states.capsules.confirm(taken.thread.id)]
    after = await ask(there, taken.thread.id, "And now?")
    assert after.usage is not None
    assert after.usage.history_tokens > 0
    assert after.usage.source == "rebuilt"


# --------------------------------------------------------------------------------- hostile files


def rezipped(packed: Path, change: Callable[[dict[str, bytes]], object]) -> bytes:
    with zipfile.ZipFile(packed / "talk.capsule") as archive:
        entries = {each: archive.read(each) for each in archive.namelist()}
    change(entries)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def about(**changes: object) -> Callable[[dict[str, bytes]], object]:
    def change(entries: dict[str, bytes]) -> None:
        entries[ABOUT] = json.dumps(json.loads(entries[ABOUT]) | changes).encode()

    return change


def flipped(state: bytes) -> bytes:
    return state[:-1] + bytes((state[-1] ^ 1,))


STATE = "states/0.safetensors"
HOSTILE = {
    "no zip": None,
    "a name outside": lambda entries: entries.update({"../../x": b""}),
    "no conversation": lambda entries: entries.pop(CONVERSATION),
    "no json": lambda entries: entries.update({ABOUT: b"[" * 100_000}),
    "a tree": lambda entries: entries.update(
        {CONVERSATION: entries[CONVERSATION].replace(b'"role": "user"', b'"role": "root"')}
    ),
    "another format": about(format="x"),
    "tokens that are none": about(tokens=[["x"]]),
    "too few tokens": about(tokens=[[1]]),
    "a state of other tokens": about(tokens=[[1]] * 6),
    "a model that is none": about(model="../" * 20),
    "states out of order": about(states=[2, 6]),
    "more states than there are": about(states=[6, 4, 2]),
    "sampling that is none": about(sampling=3),
    "a flipped bit": lambda entries: entries.update({STATE: flipped(entries[STATE])}),
    "a cut state": lambda entries: entries.update({STATE: entries[STATE][:-100]}),
    "a state that is text": lambda entries: entries.update({STATE: b"no"}),
}


@pytest.fixture(scope="module")
async def taker(tmp_path_factory: pytest.TempPathFactory, packed: Path):
    session = await open_real(tmp_path_factory.mktemp("taker"), packed / "model" / "tiny.safetensors")
    yield session
    await session.close()


@pytest.mark.parametrize("what", HOSTILE)
async def test_hostile_files_are_refused_and_leave_nothing(
    what: str, tmp_path: Path, packed: Path, taker: Session
) -> None:
    change = HOSTILE[what]
    data = b"PK\x03\x04 no" if change is None else rezipped(packed, change)
    (tmp_path / "bad.capsule").write_bytes(data)
    with pytest.raises(CapsuleInvalid) as caught:
        await taker.states.capsules.import_(tmp_path / "bad.capsule")
    assert (caught.value.hint == "other") == (what in ("no zip", "no conversation")), what
    assert list(taker.paths.outside.iterdir()) == []
    assert await taker.chats.threads() == ()


async def test_a_bomb_is_not_unpacked(
    tmp_path: Path, taker: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.capsule", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CONVERSATION, "{}")
        with archive.open(ABOUT, "w") as file:
            for _ in range(3):
                file.write(bytes(1 << 20))
    monkeypatch.setattr(capsule_files, "LARGEST_JSON", 1 << 20)
    with pytest.raises(CapsuleInvalid):
        await taker.states.capsules.import_(tmp_path / "bomb.capsule")
