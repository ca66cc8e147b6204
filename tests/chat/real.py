"""A real engine on a tiny random model: what the session tests, the state bugs and the kills run on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import psutil

from engine.types import SamplingParams
from rwkv_chat.library import nodes, threads
from rwkv_chat.paths import Paths
from rwkv_chat.session import Answered, Session, Turn, open_session
from tests.engine import tiny
from tests.engine.small import byte_alphabet

if TYPE_CHECKING:
    from pathlib import Path

    from engine.types import TokenIds
    from rwkv_chat.transcript import Node

GREEDY = SamplingParams(temperature=0.0, max_tokens=12)
MERGES = (("Ċ", "Ċ"), ("e", "r"), ("U", "s"), ("!", "Ċ"), ("Ã", "©"), ("ð", "Ł"), ("Us", "er"))


def model_folder(folder: Path, seed: int = 3, words: tuple[str, ...] = ()) -> Path:
    """A weights file with a byte-level tokenizer (few merges, some across a character's bytes) beside it.

    `words` are tokens that only a model can choose.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<end>", *alphabet, *("".join(pair) for pair in MERGES)]
    names += ["".join(map(byte_alphabet().__getitem__, each.encode())) for each in words]
    made = Tokenizer(models.BPE({name: place for place, name in enumerate(names)}, list(MERGES)))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(folder / "tokenizer.json"))
    return tiny.checkpoint(folder / "tiny.safetensors", tiny.spec(vocab_size=len(names)), seed)


async def open_real(home: Path, model: Path, worker: Literal["thread", "process"] = "thread") -> Session:
    overrides = {"device": "cpu", "dtype": "fp32", "threads": 1}
    return await open_session(Paths.under(home), model=model, worker=worker, overrides=overrides)


def kill_worker(session: Session) -> None:
    """Ends the process that computes, if it is still there."""
    engine: Any = session._engine
    if (worker := engine._worker) is not None:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(worker.pid).kill()


async def answered(turn: Turn | None) -> Answered:
    assert turn is not None
    end = await turn.result()
    assert isinstance(end, Answered), end
    return end


async def ask(session: Session, thread: str | None, text: str, params: SamplingParams = GREEDY) -> Answered:
    return await answered(session.chats.send(thread, text, params))


@dataclass(frozen=True)
class Told:
    """A conversation as it is stored: its nodes with tokens, in the coding of the model that is loaded."""

    nodes: tuple[Node, ...]

    @property
    def texts(self) -> list[str]:
        return [each.message.text for each in self.nodes]

    @property
    def tokens(self) -> TokenIds:
        return tuple(token for each in self.nodes for token in each.tokens or ())


async def told(session: Session, thread: str) -> Told:
    coding = (await session.models.speaking()).coding
    tip = (await session.library.run(threads.get, thread)).tip
    return Told(tuple(each.node for each in await session.library.run(nodes.path, tip, coding)))


async def reply_tokens(session: Session, thread: str) -> TokenIds:
    return (await told(session, thread)).nodes[-1].tokens or ()


def snapshots(home: Path) -> list[Path]:
    return sorted(Paths.under(home).states.rglob("*.safetensors"))
