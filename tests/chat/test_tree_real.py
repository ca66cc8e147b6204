"""Working with the tree on the real engine: text and memory come back together, and nothing is fed again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from rwkv_chat.session import HasRead, Reading, Session, Turn
from tests.chat.real import GREEDY, answered, ask, model_folder, open_real, told
from tests.chat.talk import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from engine.types import Usage
    from rwkv_chat.transcript import Node

SAMPLED = replace(GREEDY, temperature=1.0, top_p=0.9)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(params=["thread", "process"])
async def session(tmp_path: Path, model: Path, request: pytest.FixtureRequest) -> AsyncIterator[Session]:
    worker: Literal["thread", "process"] = request.param
    opened = await open_real(tmp_path / "home", model, worker)
    await until(lambda: _identified(opened))
    yield opened
    await opened.close()


async def _identified(session: Session) -> bool:
    """States are saved from now on; until then they wait in RAM."""
    return bool((await session.models.speaking()).info.id)


async def path(session: Session, thread: str) -> tuple[Node, ...]:
    return (await told(session, thread)).nodes


def resumed(usage: Usage | None, prompt: int) -> None:
    """Nothing of the history was fed again, and `prompt` tokens of what is new."""
    assert usage is not None
    assert (usage.history_tokens, usage.prompt_tokens) == (0, prompt)
    assert usage.source in ("device", "ram", "disk")


async def test_every_operation_starts_from_the_state_of_its_place(session: Session) -> None:
    first = await ask(session, None, "one")
    thread = first.thread.id
    await ask(session, thread, "two")
    one, reply, two, _ = await path(session, thread)

    again = await answered(session.chats.regenerate(thread, SAMPLED, node=reply.id))
    resumed(again.usage, 0)
    assert len(await session.branches.siblings(reply.id)) == 2

    await session.branches.switch(thread, reply.id)
    assert [each.id for each in await path(session, thread)][2] == two.id

    turn = await session.branches.edit(thread, two.id, "2", params=GREEDY)
    assert isinstance(turn, Turn)
    edited = await answered(turn)
    new = (await path(session, thread))[2]
    resumed(edited.usage, len(new.tokens or ()))
    assert new.message.text == "2"

    undone = await session.branches.undo(thread)
    assert (undone.kind, undone.text) == ("edited", "2")
    assert (await path(session, thread))[2].id == two.id

    went = await session.branches.go(thread, reply.id)
    assert went.tip == reply.id
    other = await ask(session, thread, "three")
    resumed(other.usage, len((await path(session, thread))[2].tokens or ()))

    branch = await session.branches.branch(thread, one.id, "another")
    from_there = await answered(session.chats.regenerate(branch.id, GREEDY))
    resumed(from_there.usage, 0)
    assert from_there.node is not None
    assert from_there.node.message.text == reply.message.text


async def test_an_edited_reply_is_read_alone(session: Session) -> None:
    thread = (await ask(session, None, "one")).thread.id
    _, reply = await path(session, thread)
    reading = await session.branches.edit(thread, reply.id, "No.")
    assert isinstance(reading, Reading)
    end = await reading.result()
    assert isinstance(end, HasRead)
    changed = (await path(session, thread))[1]
    assert (changed.message.text, changed.model) == ("No.", "")
    resumed(end.usage, len(changed.tokens or ()))
    resumed((await ask(session, thread, "b")).usage, len((await path(session, thread))[2].tokens or ()))


async def test_what_follows_an_edit_is_kept_and_read_again(session: Session) -> None:
    thread = (await ask(session, None, "one")).thread.id
    for text in ("two", "three"):
        await ask(session, thread, text)
    before = await path(session, thread)
    reading = await session.branches.edit(thread, before[2].id, "zwei", keep_following=True)
    end = await reading.result()
    assert isinstance(end, HasRead)
    after = await path(session, thread)
    assert [each.message.text for each in after[3:]] == [each.message.text for each in before[3:]]
    assert [each.tokens for each in after[3:]] == [each.tokens for each in before[3:]]
    assert [each.origin for each in after[2:]] == [each.id for each in before[2:]]
    resumed(end.usage, sum(len(each.tokens or ()) for each in after[2:]))
    resumed((await ask(session, thread, "on")).usage, len((await path(session, thread))[6].tokens or ()))
    for _ in range(2):
        await session.branches.undo(thread)
    assert await path(session, thread) == before


async def test_a_cut_reply_goes_on_as_if_it_had_not_been_cut(session: Session) -> None:
    short = replace(SAMPLED, max_tokens=5, seed=7, bans=(0,))
    whole = await ask(session, None, "one", replace(short, max_tokens=11))
    thread = (await ask(session, None, "one", short)).thread.id
    cut = (await path(session, thread))[-1]
    assert cut.status == "length"
    on = await answered(session.chats.continue_reply(thread, replace(short, seed=None, max_tokens=6)))
    resumed(on.usage, 0)
    assert on.node is not None
    assert whole.node is not None
    assert on.node.tokens == whole.node.tokens
    assert on.node.message == whole.node.message
    assert [each.id for each in await session.branches.siblings(on.node.id)] == [on.node.id]
    await session.branches.undo(thread)
    assert (await path(session, thread))[-1].id == cut.id


async def test_a_reply_begins_as_it_is_told_to(session: Session) -> None:
    begun = await answered(session.chats.send(None, "one", GREEDY, begin="Sure, "))
    asked, reply = await path(session, begun.thread.id)
    assert reply.message.text.startswith("Sure,")
    again = await answered(session.chats.regenerate(begun.thread.id, GREEDY))
    resumed(again.usage, 0)
    plain = await ask(session, None, "one")
    assert again.node is not None
    assert plain.node is not None
    assert again.node.message == plain.node.message
    assert asked.tokens == (await path(session, plain.thread.id))[0].tokens


async def test_several_replies_are_decoded_at_once_and_one_is_chosen(session: Session) -> None:
    thread = (await ask(session, None, "one")).thread.id
    await ask(session, thread, "two")
    end = await answered(session.chats.alternatives(thread, 3, replace(SAMPLED, seed=5)))
    resumed(end.usage, 0)
    assert len({each.id for each in end.alternatives}) == 3
    assert [each.seed for each in end.alternatives] == [5, 6, 7]
    assert (await path(session, thread))[-1].id == end.alternatives[0].id
    await session.branches.switch(thread, end.alternatives[2].id)
    went_on = await ask(session, thread, "three")
    resumed(went_on.usage, len((await path(session, thread))[4].tokens or ()))
    alone = await answered(
        session.chats.regenerate(thread, replace(SAMPLED, seed=7), node=end.alternatives[0].id)
    )
    assert alone.node is not None
    assert alone.node.message == end.alternatives[2].message


async def test_an_aside_is_answered_from_memory_and_leaves_no_trace(session: Session) -> None:
    thread = (await ask(session, None, "one")).thread.id
    before = await path(session, thread), await _rows(session), _files(session)
    aside = await answered(session.chats.aside(thread, "what?", GREEDY))
    assert aside.usage is not None
    assert aside.usage.history_tokens == 0
    assert (await path(session, thread), await _rows(session), _files(session)) == before
    straight = await ask(session, thread, "what?")
    assert aside.node is not None
    assert straight.node is not None
    assert aside.node.message == straight.node.message
    assert (await answered(session.chats.aside(None, "what?", GREEDY))).node is not None


async def _rows(session: Session) -> tuple:
    return await session.library.run(lambda db: tuple(map(tuple, db.execute("SELECT * FROM nodes"))))


def _files(session: Session) -> set[str]:
    return {each.name for each in session.paths.states.iterdir()}


async def test_a_refreshed_memory_knows_the_beginning_the_pinned_and_the_last(session: Session) -> None:
    end = await answered(session.chats.send(None, "one", GREEDY, system="Be kind"))
    thread = end.thread.id
    for text in ("two", "three", "four"):
        await ask(session, thread, text)
    await session.branches.pin((await path(session, thread))[4].id)
    old = await path(session, thread)
    gauge = await session.branches.absorbed(thread)
    assert (gauge.tokens, gauge.forgotten) == (sum(len(each.tokens or ()) for each in old), 0)
    read = await session.branches.refresh(thread, 1).result()
    assert isinstance(read, HasRead)
    assert read.usage is not None
    new = await path(session, thread)
    assert new[: len(old)] == old
    said = [each.message.text for each in new[len(old) :]]
    assert said == ["Be kind", *(old[at].message.text for at in (3, 4, 7, 8))]
    gauge = await session.branches.absorbed(thread)
    assert (gauge.partial, gauge.forgotten) == (True, len(old))
    assert gauge.tokens == sum(len(each.tokens or ()) for each in new[len(old) :])
    assert [each.tokens for each in new[len(old) :]] == [old[at].tokens for at in (0, 3, 4, 7, 8)]
    after = await ask(session, thread, "five")
    resumed(after.usage, len((await path(session, thread))[-2].tokens or ()))
    await session.branches.undo(thread)
    await session.branches.undo(thread)
    assert await path(session, thread) == old


async def test_a_text_goes_on_at_its_cursor(session: Session) -> None:
    text = await session.writings.begin()
    end = await answered(session.writings.complete(text.id, "Once upon", " the end.", GREEDY))
    assert end.node is not None
    written = await session.writings.open(text.id)
    assert (written.before, written.after) == ("Once upon" + end.node.message.text, " the end.")
    on = await answered(session.writings.complete(text.id, written.before, written.after, GREEDY))
    resumed(on.usage, 0)
    await session.branches.undo(text.id)
    back = await session.writings.open(text.id)
    assert (back.thread.tip, back.before, back.after) == (written.thread.tip, written.before, written.after)
    changed = await answered(session.writings.complete(text.id, written.before + " x", "", GREEDY, number=2))
    assert len(changed.alternatives) == 2
    resumed(changed.usage, len(" x"))


async def test_a_book_is_read_and_chats_begin_from_it(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    whole = "\n\n".join(f"Chapter {n}. " + f"The fox number {n} ran over the hill. " * 60 for n in range(12))
    file.write_text(whole)
    await session.models.speaking()
    book = await session.books.add(file)
    assert (book.thread.title, book.passages) == ("book", 12)
    nodes = await path(session, book.thread.id)
    assert "".join(each.message.text for each in nodes) == whole.strip("\n")
    reading = await session.books.read(book.thread.id)
    meanwhile = await ask(session, None, "hello")
    assert meanwhile.node is not None
    end = await reading.result()
    assert isinstance(end, HasRead)
    assert end.usage is not None
    book = await session.books.get(book.thread.id)
    assert book.finished
    assert book.done == book.tokens == end.usage.prompt_tokens
    chat = await session.books.begin(book.thread.id)
    asked = await ask(session, chat.id, "who ran?")
    resumed(asked.usage, len((await path(session, chat.id))[-2].tokens or ()))
    (quote, *_) = await session.books.find(chat.id, '"number 7"')
    assert "number 7 ran" in quote.text
