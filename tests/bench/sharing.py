"""How much of the bare engine's speed a chat keeps while the interface draws: the engine as a thread of the
interface's process, and as a process of its own.

    python -m tests.bench.sharing [rounds] [tokens] [threads] [MODEL TOKENIZER]

The real program in a real pseudo-terminal (120×40) writes one long reply; before it, the engine alone draws
as many tokens for a plain loop. The three take turns. Without MODEL it is the built-in guide; "0.1B" makes
random weights of that size. Prints each share of the bare rate (medians of the rounds' ratios) and what the
interface's event loop took of a core meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.service import Engine
from engine.types import Finished, GenerateRequest, LoadRequest, SamplingParams, StopRule, TokenizerRef

if TYPE_CHECKING:
    from engine.job import Job
    from engine.types import FeedRequest, ScoreRequest

Kind = Literal["bare", "thread", "process"]
KINDS: tuple[Kind, ...] = ("bare", "thread", "process")
PROMPT = tuple(range(20, 40))
PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Wish:
    """One measurement: weights (and a `tokenizer.json`, "" for World), and how many tokens are drawn."""

    kind: Kind
    model: str
    tokenizer: str
    tokens: int
    threads: int


@dataclass(frozen=True, slots=True)
class Found:
    """Tokens a second from the engine's own clock; the event loop's share of a core (0 for the bare one)."""

    rate: float
    drawing: float = 0.0


class Endless(Engine):
    """Replies that end at so many tokens and nowhere else."""

    tokens = 0

    def submit(self, request: GenerateRequest | FeedRequest | ScoreRequest) -> Job:
        if isinstance(request, GenerateRequest):
            params = replace(request.params, max_tokens=self.tokens)
            request = replace(request, stop=StopRule(ids=()), params=params)
        return super().submit(request)


def engine_of(wish: Wish, states: Path) -> Endless:
    worker = "thread" if wish.kind == "bare" else wish.kind
    engine = Endless(states, worker=worker, threads=wish.threads)
    engine.tokens = wish.tokens
    return engine


def tokenizer_of(wish: Wish) -> TokenizerRef:
    return TokenizerRef("json", wish.tokenizer) if wish.tokenizer else TokenizerRef()


def bare(wish: Wish, home: Path) -> Found:
    """The engine alone, its events read by a plain loop."""
    engine = engine_of(wish, home / "states")
    engine.load(LoadRequest(wish.model, tokenizer_of(wish), "cpu")).result()
    end = engine.submit(GenerateRequest(PROMPT, params=SamplingParams(seed=1))).result()
    engine.close()
    assert isinstance(end, Finished)
    return Found(end.usage.reply_tokens / end.usage.decode_seconds)


async def drawn(wish: Wish, home: Path) -> Found:
    """The program itself, which this process's terminal shows."""
    from engine.tokenizer import load_tokenizer
    from rwkv_chat.library.database import Library
    from rwkv_chat.paths import Paths
    from rwkv_chat.session.cards import ModelCard
    from rwkv_chat.session.events import Answered, ReplyGrew
    from rwkv_chat.session.session import Session
    from rwkv_chat.settings_file import SettingsFile
    from rwkv_chat.tui.app import RwkvChatApp

    class Measured(RwkvChatApp):
        begun: tuple[float, float] | None = None
        found: Found | None = None

        async def _begin(self) -> None:
            await super()._begin()
            await self.session.models.ready()
            listener = self.desk.turns.listener
            assert listener is not None

            async def measured(live: Any, event: Any) -> None:
                await listener(live, event)
                if isinstance(event, ReplyGrew) and self.begun is None:
                    self.begun = time.monotonic(), time.thread_time()
                if isinstance(event, Answered) and event.usage is not None and self.begun is not None:
                    wall, used = time.monotonic() - self.begun[0], time.thread_time() - self.begun[1]
                    usage = event.usage
                    self.found = Found(usage.reply_tokens / usage.decode_seconds, used / wall)
                    self.exit(0)

            self.desk.turns.listener = measured
            self.screen_stack[0].send("Go on.")  # pyright: ignore[reportAttributeAccessIssue]

    paths = Paths.under(home).make()
    card = ModelCard("measured", Path(wish.model), tokenizer=tokenizer_of(wish))
    library, settings = (
        await Library.open(paths.database),
        SettingsFile(paths.settings_file, {"device": "cpu"}),
    )

    session = Session(
        paths, library, settings, lambda: engine_of(wish, paths.states), lambda: card, load_tokenizer
    )
    await session.change_settings(first_run_done=True)
    app = Measured(session)
    await app.run_async()
    await session.close()
    assert app.found is not None
    return app.found


def measure(wish: Wish) -> Found:
    """In a process of its own, in a terminal of its own."""
    from tests.tui.pty_run import TERM, run_in_pty

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        out = Path(home) / "found.json"
        words = ["-m", "tests.bench.sharing", "child", json.dumps(asdict(wish)), home, str(out)]
        shown, code = run_in_pty(words, seconds=PATIENCE, env=TERM)
        if code or not out.exists():
            raise RuntimeError(shown[-2000:].decode(errors="replace"))
        return Found(**json.loads(out.read_text()))


def child(words: list[str]) -> None:
    wish, home, out = Wish(**json.loads(words[0])), Path(words[1]), Path(words[2])
    found = bare(wish, home) if wish.kind == "bare" else asyncio.run(drawn(wish, home))
    out.write_text(json.dumps(asdict(found)))


def compared(wish: Wish, rounds: int) -> dict[Kind, list[Found]]:
    """Rounds of all kinds in turn."""
    found: dict[Kind, list[Found]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            found[kind].append(measure(replace(wish, kind=kind)))
    return found


def share(found: dict[Kind, list[Found]], kind: Kind) -> float:
    """The median of the rounds' shares of the bare rate."""
    return statistics.median(a.rate / b.rate for a, b in zip(found[kind], found["bare"], strict=True))


def of_01b(folder: Path) -> tuple[str, str]:
    """Random weights of the 0.1B size, for the World vocabulary."""
    import torch

    from tests.engine import tiny

    spec = tiny.spec(n_layer=12, n_embd=768, head_size=64, vocab_size=65_536, rank=64)
    return str(tiny.save(folder / "model.safetensors", tiny.tensors(spec), torch.bfloat16)), ""


def builtin() -> tuple[str, str]:
    from rwkv_chat.session.cards import builtin

    card = builtin()
    return str(card.path), card.tokenizer.path or ""


def chosen(words: list[str], folder: Path) -> tuple[str, str]:
    if words == ["0.1B"]:
        return of_01b(folder)
    return (words[0], words[1] if len(words) > 1 else "") if words else builtin()


def main(words: list[str]) -> None:
    rounds, tokens, threads = (int(each) for each in (*words[:3], *("5", "1500", "1")[len(words) :]))
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = chosen(words[3:], Path(folder))
        found = compared(Wish("bare", model, tokenizer, tokens, threads), rounds)
    rate = statistics.median(each.rate for each in found["bare"])
    print(f"bare {rate:.0f} tokens/s on {threads} thread(s), {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for kind in KINDS[1:]:
        drawing = statistics.median(each.drawing for each in found[kind])
        print(f"as a {kind}: {share(found, kind):.2f} of it, the interface at {drawing:.0%} of a core")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2:])
    else:
        main(sys.argv[1:])
