"""A fake engine and a fake tokenizer: the session, the terminal and the commands are tested on them without
torch.

session = await fake_session(tmp_path, replies=["Hello there."], delay=0.01)
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.prefix import extend
from engine.types import (
    Adapted,
    AdaptRequest,
    Cancelled,
    Downloaded,
    DownloadRequest,
    Event,
    Failed,
    Fed,
    FeedRequest,
    Finished,
    FinishReason,
    GenerateRequest,
    Held,
    Identified,
    InitialRequest,
    Inspected,
    Ladder,
    Loaded,
    LoadNotice,
    LoadRequest,
    ModelInfo,
    ModelSpec,
    NotSaved,
    Piece,
    Prefilled,
    Progress,
    Registered,
    Resampled,
    SamplingParams,
    Scored,
    ScoreRequest,
    StateKey,
    StateProfile,
    StateSource,
    StoreUse,
    Thinned,
    TokenIds,
    TokenizerRef,
    TokenScore,
    TopToken,
    Unloaded,
    Usage,
)
from rwkv_chat.library.database import MEMORY, Library
from rwkv_chat.paths import Paths
from rwkv_chat.session.cards import ModelCard
from rwkv_chat.session.session import Session
from rwkv_chat.session.shelf_fetch import Hub
from rwkv_chat.settings_file import SettingsFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from engine.errors import EngineError, WorkerDied
    from engine.weights.catalog import Entry, LiveFile
    from rwkv_chat.session.shelf_fetch import Sources

ID = "f" * 64
NORMS = ((1.0, 2.0), (3.0, 4.0))  # two layers of two heads
SPEC = ModelSpec("rwkv7", 2, 64, 64, 256, 257)
CARD = ModelCard(
    name="Fake guide",
    path=Path("/nowhere/fake.safetensors"),
    builtin=True,
    sampling=SamplingParams(max_tokens=256),
    suggestions=("What is this?", "How do I stop a reply?", "Do you remember me?"),
    note="a fake model for tests",
)


class ByteTokenizer:
    """One token per UTF-8 byte: id = byte + 1; 0 is the document's beginning."""

    vocab_size = 257
    sampleable = 257

    def encode(self, text: str) -> TokenIds:
        return tuple(byte + 1 for byte in text.encode())

    def decode_bytes(self, ids: TokenIds) -> bytes:
        return bytes(each - 1 for each in ids if each)

    def token_bytes(self, token: int) -> bytes:
        return self.decode_bytes((token,))


@dataclass
class FakeReply:
    """How the engine answers one request.

    Attributes:
        text: as a model writes it, with its leading space.
        error: what it fails with after the text, instead of an end.
        tokens: the reply's, where they are not those of the text.
        others: further replies, where several are asked for at once.
        refused: why the state after it is not saved.
    """

    text: str = " Hello there."
    reason: FinishReason = "stop"
    error: EngineError | None = None
    source: StateSource = "fresh"
    history_tokens: int = 0
    prefill: Sequence[Prefilled] = ()
    tokens: TokenIds | None = None
    others: Sequence[str] = ()
    refused: EngineError | None = None


class FakeJob:
    """Yields scripted events, `delay` seconds apart; a cancelled one ends at its next event."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.cancelled = asyncio.Event()

    def cancel(self) -> None:
        self.cancelled.set()

    async def pause(self) -> bool:
        """Wait one step; whether to go on."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.cancelled.wait(), self.delay)
        await asyncio.sleep(0)
        return not self.cancelled.is_set()

    def __aiter__(self) -> AsyncIterator[Event]:
        raise NotImplementedError


class FakeLoad(FakeJob):
    def __init__(
        self,
        request: LoadRequest,
        delay: float,
        error: EngineError | None,
        id_: str,
        told: Sequence[LoadNotice],
    ) -> None:
        super().__init__(delay)
        self.request, self.error, self.id, self.told = request, error, id_, told

    async def __aiter__(self) -> AsyncIterator[Event]:
        for each in self.told:
            yield each
        for done in range(3):
            yield Progress("load", done, 3)
            if not await self.pause():
                yield Cancelled()
                return
        if self.error:
            yield Failed(self.error)
            return
        yield Loaded(model_info(self.request.path, self.request.tokenizer, self.id))


def model_info(path: str, tokenizer: TokenizerRef, id_: str = ID) -> ModelInfo:
    return ModelInfo(id_, path, SPEC, "fp32", "cpu", tokenizer, nbytes=1_000_000, state_nbytes=50_000)


class FakeIdentify(FakeJob):
    """Ends after `delay` seconds, or when `go_on` is set."""

    def __init__(self, path: str, delay: float, identity: str) -> None:
        super().__init__(delay)
        self.path, self.identity = path, identity
        self.go_on = asyncio.Event()

    def cancel(self) -> None:
        super().cancel()
        self.go_on.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        yield Progress("hash", 0, 1)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.go_on.wait(), self.delay)
        yield Cancelled() if self.cancelled.is_set() else Identified(self.path, self.identity)


class FakeRegister(FakeJob):
    """An initial state is ready, or is not."""

    def __init__(self, request: InitialRequest, error: EngineError | None) -> None:
        super().__init__(0.0)
        self.request, self.error = request, error

    async def __aiter__(self) -> AsyncIterator[Event]:
        yield (
            Failed(self.error) if self.error else Registered(self.request.path, f"id of {self.request.path}")
        )


class FakeEnd(FakeJob):
    """Ends at once."""

    def __init__(self, event: Event) -> None:
        super().__init__(0.0)
        self.event = event

    async def __aiter__(self) -> AsyncIterator[Event]:
        yield self.event


class FakeDownload(FakeJob):
    """Writes `content` to the path that was asked for, in four pieces; cancelled, it keeps what it has."""

    def __init__(
        self, request: DownloadRequest, content: bytes, delay: float, error: EngineError | None
    ) -> None:
        super().__init__(delay)
        self.request, self.content, self.error = request, content, error

    async def __aiter__(self) -> AsyncIterator[Event]:
        target, size = Path(self.request.path), len(self.content)
        part = target.with_name(f"{target.name}.part")
        for quarter in range(5):
            part.write_bytes(self.content[: size * quarter // 4])
            yield Progress("download", size * quarter // 4, size)
            if not await self.pause():
                yield Cancelled()
                return
        if self.error:
            yield Failed(self.error)
            return
        part.replace(target)
        yield Downloaded(str(target), size, hashlib.sha256(self.content).hexdigest(), "known")


class FakeGenerate(FakeJob):
    def __init__(self, request: GenerateRequest, reply: FakeReply, delay: float, chunk: int) -> None:
        super().__init__(delay)
        self.request, self.reply, self.chunk = request, reply, chunk
        self.tokenizer = ByteTokenizer()
        self.changes: list[SamplingParams] = []  # not told yet

    async def __aiter__(self) -> AsyncIterator[Event]:
        for each in self.reply.prefill or (Prefilled(len(self.request.prompt), len(self.request.prompt)),):
            yield each
        reason, texts = self.reply.reason, [self.reply.text, *self.reply.others][: self.request.n]
        said = [""] * len(texts)
        for start in range(0, max(map(len, texts)), self.chunk):
            if not await self.pause():
                reason = "cancelled"
                break
            while self.changes:
                yield Resampled(self.request.continues + start, self.changes.pop(0))
            for index, whole in enumerate(texts):
                if text := whole[start : start + self.chunk]:
                    said[index] += text
                    yield Piece(index, text, self.tokenizer.encode(text))
        if self.reply.error:
            yield Failed(self.reply.error)
            return
        if self.reply.refused:
            yield NotSaved(self.reply.refused)
        for index, each in enumerate(said):
            yield self._end(index, each, reason)

    def _end(self, index: int, said: str, reason: FinishReason) -> Finished:
        tokens = self.tokenizer.encode(said) if self.reply.tokens is None else self.reply.tokens
        request = self.request
        usage = Usage(
            prompt_tokens=len(request.prompt),
            history_tokens=self.reply.history_tokens,
            reply_tokens=len(tokens),
            prefill_seconds=0.01,
            decode_seconds=0.1,
            seed=(request.params.seed or 0) + index,
            source=self.reply.source,
        )
        before = extend(request.history) if request.start is None else request.start
        prefix = extend((*request.prompt, *tokens), before)
        return Finished(index, reason, tokens, said, usage, prefix)


class FakeScore(FakeJob):
    """Every token has half of the probability and the next id a quarter; a digit is a surprise of 5 bits."""

    def __init__(self, request: ScoreRequest, delay: float) -> None:
        super().__init__(delay)
        self.request = request

    async def __aiter__(self) -> AsyncIterator[Event]:
        tokens, tokenizer = self.request.prompt, ByteTokenizer()
        yield Prefilled(0, len(self.request.history))
        for at in range(0, len(tokens), 32):
            if not await self.pause():
                yield Cancelled()
                return
            scores = tuple(_score(each, tokenizer) for each in tokens[at : at + 32])
            yield Scored(scores, last=at + 32 >= len(tokens))


def _score(token: int, tokenizer: ByteTokenizer) -> TokenScore:
    half, quarter = -0.6931471805599453, -1.3862943611198906
    other = token % 256 + 1
    digit = tokenizer.token_bytes(token).isdigit()
    found = [
        TopToken(each, tokenizer.token_bytes(each).decode(errors="replace"), share)
        for each, share in (((33, half), (other, quarter)) if digit else ((token, half), (other, quarter)))
    ]
    return TokenScore(token, 5 * half if digit else half, 2 if digit else 0, tuple(found))


class FakeFeed(FakeJob):
    """Reads in four steps; a cancelled one ends at its next step."""

    def __init__(self, request: FeedRequest, delay: float) -> None:
        super().__init__(delay)
        self.request = request

    async def __aiter__(self) -> AsyncIterator[Event]:
        history = 0 if self.request.start else len(self.request.history)  # whoever has its key has its state
        total = history + len(self.request.prompt)
        for quarter in range(5):
            yield Prefilled(total * quarter // 4, total)
            if not await self.pause():
                yield Cancelled()
                return
        before = extend(self.request.history) if self.request.start is None else self.request.start
        prefix = extend(self.request.prompt, before)
        key = StateKey(ID, "fp32", "", self.request.initial, prefix)
        yield Fed(prefix, Usage(prompt_tokens=len(self.request.prompt), prefill_seconds=0.01), key)


@dataclass
class FakeEngine:
    """Answers with `replies` in turn (the last again and again), `chunk` characters every `delay` seconds.

    Attributes:
        identified: whether a load knows the model's id at once.
        states: prefix keys of which it says that it has a state.
        content: what a download brings, by the file's name (b"weights" where it is not listed).
    """

    replies: Sequence[FakeReply | str] = (FakeReply(),)
    delay: float = 0.0
    chunk: int = 4
    load_delay: float = 0.0
    load_error: EngineError | None = None
    told: Sequence[LoadNotice] = ()
    identified: bool = True
    identify_delay: float = 0.0
    identity: str = ID
    identifying: list[FakeIdentify] = field(default_factory=list)
    content: dict[str, bytes] = field(default_factory=dict)
    download_delay: float = 0.0
    download_error: EngineError | None = None
    downloads: list[DownloadRequest] = field(default_factory=list)
    requests: list[GenerateRequest] = field(default_factory=list)
    feeds: list[FeedRequest] = field(default_factory=list)
    changed: list[SamplingParams] = field(default_factory=list)
    scored: list[ScoreRequest] = field(default_factory=list)
    feed_delay: float = 0.0
    initials: list[InitialRequest] = field(default_factory=list)
    register_error: EngineError | None = None
    states: set[str] = field(default_factory=set)
    loads: list[LoadRequest] = field(default_factory=list)
    adapts: list[AdaptRequest] = field(default_factory=list)
    adapt_error: EngineError | None = None
    unloads: int = 0
    jobs: list[FakeJob] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    kept: tuple[str, ...] = ()
    folder: Path = Path("/nowhere")
    ladders: dict[str, Ladder] = field(default_factory=dict)
    held: list[StateKey] = field(default_factory=list)
    released: dict[StateKey, bool] = field(default_factory=dict)
    budgets: tuple[int | None, int | None] = (None, None)
    sources: tuple[tuple[StateSource, int], ...] = ()
    closed: bool = False
    on_death: Callable[[WorkerDied], None] | None = None

    def load(self, request: LoadRequest) -> FakeJob:
        self.loads.append(request)
        id_ = ID if self.identified else ""
        return self._started(FakeLoad(request, self.load_delay, self.load_error, id_, self.told))

    def identify(self, path: str) -> FakeJob:
        self.identifying.append(job := FakeIdentify(path, self.identify_delay, self.identity))
        return self._started(job)

    def download(self, request: DownloadRequest) -> FakeJob:
        self.downloads.append(request)
        content = self.content.get(Path(request.path).name, b"weights")
        return self._started(FakeDownload(request, content, self.download_delay, self.download_error))

    def register(self, request: InitialRequest) -> FakeJob:
        self.initials.append(request)
        return self._started(FakeRegister(request, self.register_error))

    def adapt(self, request: AdaptRequest) -> FakeJob:
        """An adapter's id is the name of its file or folder."""
        self.adapts.append(request)
        if self.adapt_error:
            return self._started(FakeEnd(Failed(self.adapt_error)))
        id_ = Path(request.path).stem if request.path else ""
        info = replace(model_info("", TokenizerRef()), adapter=id_)
        return self._started(FakeEnd(Adapted(request.path, info)))

    def unload(self) -> FakeJob:
        self.unloads += 1
        return self._started(FakeEnd(Unloaded(1_000_000, "cpu")))

    def known(self, info: ModelInfo, prefixes: Iterable[str], initial: str = "") -> frozenset[str]:
        return frozenset(prefixes) & self.states

    def submit(self, request: GenerateRequest | FeedRequest | ScoreRequest) -> FakeJob:
        if isinstance(request, ScoreRequest):
            self.scored.append(request)
            return self._started(FakeScore(request, self.delay))
        if isinstance(request, FeedRequest):
            self.feeds.append(request)
            return self._started(FakeFeed(request, self.feed_delay))
        reply = self.replies[min(len(self.requests), len(self.replies) - 1)]
        self.requests.append(request)
        scripted = FakeReply(reply) if isinstance(reply, str) else reply
        return self._started(FakeGenerate(request, scripted, self.delay, self.chunk))

    def change(self, job: FakeJob, params: SamplingParams) -> None:
        assert isinstance(job, FakeGenerate)
        self.changed.append(params)
        job.changes.append(params)

    def forget(self, prefixes: Iterable[str], *, passing: bool = False) -> None:
        self.forgotten.extend(prefixes)

    def keep(self, prefixes: Iterable[str]) -> None:
        self.kept = tuple(prefixes)

    def tell(self, ladders: Iterable[Ladder]) -> None:
        self.ladders |= {each.name: each for each in ladders}

    def saved(self) -> dict[str, int]:
        return {f"{each[:32]}-{'0' * 32}.safetensors": 50_000 for each in sorted(self.states)}

    def file(self, key: StateKey) -> Path:
        return self.folder / f"{key.prefix}.safetensors"

    def hold(self, key: StateKey) -> FakeJob:
        self.held.append(key)
        return self._started(FakeEnd(Held(key, 50_000)))

    def release(self, keys: Iterable[StateKey], *, forget: bool = False) -> None:
        for each in keys:
            self.released[each] = forget

    def budget(self, disk: int | None, ram: int | None) -> None:
        self.budgets = disk, ram

    def thin(self) -> FakeJob:
        return self._started(FakeEnd(Thinned(len(self.states), 50_000 * len(self.states))))

    def use(self) -> FakeJob:
        nbytes = 50_000 * len(self.states)
        return self._started(FakeEnd(StoreUse(nbytes, 1_000_000, 0, 0, 1_000_000, self.sources)))

    def inspect(self, *paths: Path | str) -> FakeJob:
        profiles = [StateProfile(str(each), "rwkv7", ID, "fp32", 3, 50_000, NORMS, ()) for each in paths]
        return self._started(FakeEnd(Inspected(tuple(profiles), NORMS if len(paths) > 1 else ())))

    def close(self) -> None:
        self.closed = True

    def _started(self, job: FakeJob) -> FakeJob:
        self.jobs.append(job)
        return job


@dataclass
class FakeHub(Hub):
    """A hub that holds `files`, and nothing on this machine."""

    files: tuple[LiveFile, ...] = ()
    asked: list[str] = field(default_factory=list)

    def live(self, repository: str, sources: Sources) -> tuple[LiveFile, ...]:
        self.asked.append(repository)
        return self.files

    def cached(self, entry: Entry) -> Path | None:
        return None


async def fake_session(
    home: Path,
    engine: FakeEngine | None = None,
    *,
    card: ModelCard = CARD,
    replies: Sequence[FakeReply | str] = (FakeReply(),),
    delay: float = 0.0,
    private: bool = False,
) -> Session:
    """A real session (library, settings, chats, models) over a fake engine; everything lives under `home`."""
    paths = Paths.under(home).make()
    library = await Library.open(MEMORY if private else paths.database)
    speaking = engine or FakeEngine(replies, delay=delay)
    session = Session(
        paths,
        library,
        SettingsFile(paths.settings_file),
        lambda: speaking,
        lambda: card,
        lambda ref: ByteTokenizer(),
    )
    session.shelf.listing.hub, session.private = FakeHub(), private
    if not private:
        session.keep_house()
    return session
