"""Texts that are read: passages, pauses, restarts, quotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import Prefilled
from rwkv_chat.library.errors import ThreadMissing
from rwkv_chat.session import HasRead, quoted
from rwkv_chat.session.errors import NotReadable
from rwkv_chat.session.passages import LENGTH, passages
from rwkv_chat.session.quotes import Quote
from tests.chat.real import GREEDY, ask, model_folder, open_real, told
from tests.chat.talk import answered, begin, until
from tests.fakes import FakeEngine

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Session

BOOK = "\n\n".join(f"Chapter {n}. " + f"The fox number {n} ran over the hill. " * 60 for n in range(40))


@given(
    text=st.text(alphabet=st.sampled_from("a .\n。”\t漢"), max_size=400),
    length=st.integers(4, 40),
)
def test_passages_are_the_text_in_parts(text: str, length: int) -> None:
    found = tuple(passages(text, length, length // 2))
    assert "".join(found) == text
    assert all(0 < len(each) <= length for each in found)
    assert all(len(each) > length // 2 for each in found[:-1])


def test_a_passage_ends_where_a_paragraph_does() -> None:
    found = tuple(passages(BOOK))
    assert len(found) == 40
    assert [each[:10] for each in found] == [f"Chapter {n}."[:10] for n in range(40)]
    assert [len(each) for each in passages("x" * 7000)] == [LENGTH, LENGTH, 1000]


async def test_a_text_is_there_before_it_is_read(opened: list, tmp_path: Path) -> None:
    session: Session = await begin(opened, tmp_path)
    book = await session.books.add(BOOK, "Foxes")
    assert (book.thread.title, book.passages, book.done, book.finished) == ("Foxes", 40, 0, None)
    assert await session.books.add(BOOK, "Again") == book
    assert [each.thread.id for each in await session.books.listed()] == [book.thread.id]
    nodes = (await session.chats.open(book.thread.id)).nodes
    assert "".join(each.message.text for each in nodes) == BOOK.strip("\n")
    assert {each.kind for each in nodes} == {"passage"}
    with pytest.raises(ThreadMissing):
        await session.books.get("nobody")


async def test_reading_is_told_written_down_and_paused(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine(feed_delay=0.002)
    session: Session = await begin(opened, tmp_path, engine)
    book = await session.books.add(BOOK)
    thread = book.thread.id
    reading = await session.books.read(thread)
    assert session.books.reading(thread) is reading
    done = [each.done async for each in reading if isinstance(each, Prefilled)]
    assert done == sorted(done)
    book = await session.books.get(thread)
    assert book.finished
    assert (book.done, book.tokens) == (done[-1], done[-1])
    assert 10 < len(engine.feeds) <= 16
    assert all(each.background for each in engine.feeds)
    assert [each.history for each in engine.feeds] == [
        sum((before.prompt for before in engine.feeds[:at]), ()) for at in range(len(engine.feeds))
    ]


async def test_a_pause_keeps_what_was_read(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine(feed_delay=0.01)
    session: Session = await begin(opened, tmp_path, engine)
    thread = (await session.books.add(BOOK)).thread.id
    reading = await session.books.read(thread)
    await until(lambda: _begun(engine, 3))
    paused = await session.books.pause(thread)
    assert paused.paused
    assert await reading.result() == HasRead(thread, None)
    assert 0 < (await session.books.get(thread)).done < (await session.books.get(thread)).tokens
    assert await session.books.go_on() == ()
    fed = len(engine.feeds)
    engine.states |= {(await _prefixes(session, thread))[9]}
    end = await (await session.books.read(thread)).result()
    assert isinstance(end, HasRead)
    assert not (await session.books.get(thread)).paused
    before = "".join(tuple(passages(BOOK))[:10])
    assert len(engine.feeds[fed].history) == 1 + len(before.encode())


async def _begun(engine: FakeEngine, number: int) -> bool:
    return len(engine.feeds) >= number


async def _prefixes(session: Session, thread: str) -> list[str]:
    from rwkv_chat.library import nodes

    tip = await session.library.run(nodes.tip, thread)
    path = await session.library.run(nodes.memory, tip, "world/classic")
    return [each.node.prefix or "" for each in path]


async def test_what_was_being_read_goes_on_at_the_next_start(opened: list, tmp_path: Path) -> None:
    first: Session = await begin(opened, tmp_path, FakeEngine(feed_delay=0.01))
    one, two = await first.books.add(BOOK), await first.books.add("Something else.")
    await first.books.read(one.thread.id)
    await first.books.pause(two.thread.id)
    await first.close()
    second: Session = await begin(opened, tmp_path, FakeEngine())
    (reading,) = await second.books.go_on()
    assert isinstance(await reading.result(), HasRead)
    assert [bool(each.finished) for each in await second.books.listed()] == [False, True]


async def test_chats_begin_where_the_model_has_come_to(opened: list, tmp_path: Path) -> None:
    engine = FakeEngine([" A fox."])
    session: Session = await begin(opened, tmp_path, engine)
    book = await session.books.add(BOOK, "Foxes")
    nodes = (await session.chats.open(book.thread.id)).nodes
    whole = await session.books.begin(book.thread.id)
    assert whole.tip == nodes[-1].id
    engine.states.add((await _prefixes(session, book.thread.id))[4])
    chat = await session.books.begin(book.thread.id, title="So far")
    assert (chat.tip, chat.title, chat.kind) == (nodes[4].id, "So far", "chat")
    assert (await session.books.begin(book.thread.id, nodes[1].id)).tip == nodes[1].id
    end = await answered(session.chats.send(chat.id, "Who?"))
    assert end.node is not None
    assert bytes(each - 1 for each in engine.requests[0].prompt) == b"\n\nUser: Who?\n\nAssistant:"
    assert (await session.chats.open(book.thread.id)).nodes == nodes


async def test_passages_are_found_and_quoted(opened: list, tmp_path: Path) -> None:
    session: Session = await begin(opened, tmp_path)
    book = await session.books.add(BOOK, "Foxes")
    chat = await session.books.begin(book.thread.id)
    found = await session.books.find(chat.id, '"number 7"')
    assert len(found) == 1
    assert found[0].text.startswith("Chapter 7. The fox number 7 ran")
    assert len(found[0].text) <= 600
    assert found[0].title == "Foxes"
    assert await session.books.find(chat.id, "whale") == ()
    said = quoted((Quote("t", "Foxes", "n", "It ran. {text}"),), "Who ran?")
    assert said == 'From "Foxes": It ran. {text}\nWho ran?'


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"a\0b", "binary"),
        (b"\xff\x00\x12", "binary"),
        (b"\x80abc", "binary"),
    ],
)
async def test_files_that_are_no_texts_are_refused(
    opened: list, tmp_path: Path, content: bytes, hint: str
) -> None:
    session: Session = await begin(opened, tmp_path / "home")
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(NotReadable) as refused:
        await session.books.add(tmp_path / "file")
    assert refused.value.hint == hint
    assert await session.books.listed() == ()
    with pytest.raises(FileNotFoundError):
        await session.books.add(tmp_path / "nowhere")
    with pytest.raises(NotReadable):
        await session.books.add(tmp_path)


async def test_texts_in_other_encodings(opened: list, tmp_path: Path) -> None:
    session: Session = await begin(opened, tmp_path / "home")
    for name, data in (("one", "\ufeffmüde\r\n漢".encode()), ("two", "müde 漢!".encode("utf-16"))):
        (tmp_path / name).write_bytes(data)
        book = await session.books.add(tmp_path / name)
        text = (await session.chats.open(book.thread.id)).nodes[0].message.text
        assert text == {"one": "müde\n漢", "two": "müde 漢!"}[name]


async def test_a_reading_that_was_cut_goes_on_from_its_state(tmp_path: Path) -> None:
    """On the real engine, closed in the middle: nothing that has a state is fed twice."""
    home, model = tmp_path / "home", model_folder(tmp_path / "model")
    session = await open_real(home, model)
    await until(lambda: _identified(session))
    thread = (await session.books.add(BOOK)).thread.id
    reading = await session.books.read(thread)
    async for event in reading:
        if isinstance(event, Prefilled) and event.done > event.total // 2:
            break
    await session.close()
    again = await open_real(home, model)
    (reading,) = await again.books.go_on()
    end = await reading.result()
    assert isinstance(end, HasRead)
    book = await again.books.get(thread)
    assert end.usage is not None
    assert 0 < end.usage.prompt_tokens < book.tokens * 0.6
    chat = await again.books.begin(thread)
    asked = await ask(again, chat.id, "Who?", GREEDY)
    assert asked.usage is not None
    assert (asked.usage.history_tokens, asked.usage.source) != (0, "fresh")
    straight = (await told(again, chat.id)).tokens
    await again.close()
    assert len(straight) > book.tokens


async def _identified(session: Session) -> bool:
    return bool((await session.models.speaking()).info.id)
