"""A real engine on one tiny model in every format: the same weights say the same, wherever they come from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.errors import ModelNotFound, TokenizerMissing
from rwkv_chat.library import threads
from rwkv_chat.session import Golden, TurnFailed
from rwkv_chat.session.shelf_golden import EXPECTED
from tests.chat.real import MERGES, ask, model_folder, open_real, reply_tokens, told
from tests.chat.talk import until
from tests.engine import tiny
from tests.engine.samples import SAMPLES, spec_of

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import TokenIds
    from rwkv_chat.session import Session

VOCABULARY = 257 + len(MERGES)
EXACT = ("safetensors", "folder", "hf-fla", "hf-native", "gguf")  # hold fp32; web-rwkv's are fp16


def model_of(kind: str, folder: Path) -> Path:
    """A tiny model with its tokenizer beside it, or inside the folder that it is."""
    vocabulary = model_folder(folder / "other").parent / "tokenizer.json"
    path = SAMPLES[kind](folder, replace(spec_of(kind), vocab_size=VOCABULARY))
    shutil.copy(vocabulary, path if path.is_dir() else path.parent)
    shutil.rmtree(folder / "other")
    return path


async def said(kind: str, folder: Path, opened: list[Session]) -> TokenIds:
    session = await open_real(folder / "home", model_of(kind, folder / kind))
    opened.append(session)
    thread = (await ask(session, None, "Hi")).thread.id
    return await reply_tokens(session, thread)


@pytest.mark.parametrize("kind", EXACT)
async def test_every_exact_format_says_the_same(opened: list, tmp_path: Path, kind: str) -> None:
    expected = await said("pth", tmp_path / "a", opened)
    assert len(expected) > 3
    assert await said(kind, tmp_path / "b", opened) == expected


@pytest.mark.parametrize("kind", [each for each in SAMPLES if each not in EXACT])
async def test_every_other_format_speaks_and_goes_on(opened: list, tmp_path: Path, kind: str) -> None:
    path = model_of(kind, tmp_path / kind)
    first = await open_real(tmp_path / "home", path)
    thread = (await ask(first, None, "Hi")).thread.id
    await first.close()
    again = await open_real(tmp_path / "home", path)
    opened.append(again)
    end = await ask(again, thread, "And then?")
    assert end.usage is not None
    assert end.usage.source == "disk"


async def test_the_id_comes_later_and_names_what_was_said(opened: list, tmp_path: Path) -> None:
    session = await open_real(tmp_path / "home", model_of("hf-fla", tmp_path / "m"))
    opened.append(session)
    thread = (await ask(session, None, "Hi")).thread.id

    async def named() -> bool:
        node, of = (await told(session, thread)).nodes[-1], await session.library.run(threads.get, thread)
        return len(node.model) == 64 and node.model == of.model == session.models.info.id  # pyright: ignore[reportOptionalMemberAccess]

    await until(named)


async def test_a_file_that_is_used_stands_on_the_shelf(opened: list, tmp_path: Path) -> None:
    session = await open_real(tmp_path / "home", model_of("pth", tmp_path / "a"))
    opened.append(session)
    other = model_of("hf-fla", tmp_path / "b")
    card = await session.models.use(other)
    await session.models.ready()
    assert (card.path, session.settings.model) == (other, str(other))
    entries = {each.path: each.source for each in await session.shelf.entries()}
    assert entries[other] == "in place"
    assert tmp_path / "a" / "model.pth" not in entries  # --model is for one run


async def test_a_model_that_is_gone_is_told_and_the_guide_is_there(opened: list, tmp_path: Path) -> None:
    path = model_of("pth", tmp_path / "disk")
    first = await open_real(tmp_path / "home", path)
    await first.models.use(path)
    thread = (await ask(first, None, "Hi")).thread.id
    await first.close()
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    session = await open_real(tmp_path / "home", path)
    opened.append(session)
    end = await session.chats.send(thread, "Are you there?").result()
    assert isinstance(end, TurnFailed)
    assert isinstance(end.error, ModelNotFound)
    _, entry = await session.shelf.entries()
    assert (entry.missing, entry.spec is not None) == (True, True)
    await session.models.use(None)
    turn = await session.chats.answer_pending(thread)
    assert turn is not None
    assert (await turn.result()).node is not None  # pyright: ignore[reportAttributeAccessIssue]
    (tmp_path / "unplugged").rename(tmp_path / "disk")
    _, entry = await session.shelf.entries()
    assert (entry.missing, entry.error) == (False, None)


async def test_the_model_that_speaks_is_removed(opened: list, tmp_path: Path) -> None:
    session = await open_real(tmp_path / "home", model_of("pth", tmp_path / "m"))
    opened.append(session)
    await session.models.use(session.models.current.path)
    thread = (await ask(session, None, "Hi")).thread.id
    entry = next(each for each in await session.shelf.entries() if not each.card.builtin)
    await session.shelf.remove(entry, files=True)
    assert entry.path.is_file()  # it is not ours
    assert (session.models.current.builtin, session.settings.model) == (True, "")
    assert len((await told(session, thread)).nodes) == 2
    assert (await ask(session, thread, "Go on")).node is not None


async def test_a_tokenizer_that_is_missing_is_told_before_loading(opened: list, tmp_path: Path) -> None:
    session = await open_real(tmp_path / "home", model_of("pth", tmp_path / "m"))
    opened.append(session)
    pile = tiny.checkpoint(tmp_path / "RWKV-4-Pile-x.pth", tiny.spec(arch="rwkv4", vocab_size=50277))
    with pytest.raises(TokenizerMissing) as raised:
        await session.models.use(pile)
    assert raised.value.file == "20B_tokenizer.json"
    assert session.models.current.path == tmp_path / "m" / "model.pth"
    (session.paths.models / "20B_tokenizer.json").write_text("{}")
    card = await session.shelf.card(pile)
    assert card.tokenizer.path == str(session.paths.models / "20B_tokenizer.json")


async def test_a_golden_run_goes_through_the_engine(opened: list, tmp_path: Path) -> None:
    spec = tiny.spec(vocab_size=65536, n_embd=16, rank=4)
    path = tiny.checkpoint(tmp_path / "world.pth", spec)
    session = await open_real(tmp_path / "home", model_of("pth", tmp_path / "m"))
    opened.append(session)
    await session.models.ready()
    *_, golden = [each async for each in session.shelf.golden(path)]
    assert isinstance(golden, Golden)
    assert len(golden.found) == len(EXPECTED)
    assert golden.first == 0  # random weights say something else
    assert (await ask(session, None, "Hi")).node is not None  # the one in use is loaded again
