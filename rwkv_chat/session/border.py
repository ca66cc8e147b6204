"""The engine as the session sees it: `engine.service.Engine`, or a fake one with the same few methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from engine.errors import WorkerDied
    from engine.types import (
        AdaptRequest,
        DownloadRequest,
        Event,
        FeedRequest,
        GenerateRequest,
        InitialRequest,
        Ladder,
        LoadRequest,
        ModelInfo,
        SamplingParams,
        ScoreRequest,
        StateKey,
        TokenIds,
        TokenizerRef,
    )


class JobLike(Protocol):
    """A running task: iterate for its events, the last of which is terminal."""

    def cancel(self) -> None: ...

    def __aiter__(self) -> AsyncIterator[Event]: ...


class EngineLike(Protocol):
    on_death: Callable[[WorkerDied], None] | None

    def load(self, request: LoadRequest) -> JobLike: ...

    def submit(self, request: GenerateRequest | FeedRequest | ScoreRequest) -> JobLike: ...

    def change(self, job: Any, params: SamplingParams) -> None: ...

    def register(self, request: InitialRequest) -> JobLike: ...

    def adapt(self, request: AdaptRequest) -> JobLike: ...

    def unload(self) -> JobLike: ...

    def known(self, info: ModelInfo, prefixes: Iterable[str], initial: str = "") -> frozenset[str]: ...

    def identify(self, path: str) -> JobLike: ...

    def download(self, request: DownloadRequest) -> JobLike: ...

    def forget(self, prefixes: Iterable[str], *, passing: bool = False) -> None: ...

    def keep(self, prefixes: Iterable[str]) -> None: ...

    def tell(self, ladders: Iterable[Ladder]) -> None: ...

    def saved(self) -> dict[str, int]: ...

    def file(self, key: StateKey) -> Path: ...

    def hold(self, key: StateKey) -> JobLike: ...

    def release(self, keys: Iterable[StateKey], *, forget: bool = False) -> None: ...

    def budget(self, disk: int | None, ram: int | None) -> None: ...

    def thin(self) -> JobLike: ...

    def use(self) -> JobLike: ...

    def inspect(self, *paths: Path | str) -> JobLike: ...

    def close(self) -> None: ...


class TokenizerLike(Protocol):
    def encode(self, text: str) -> TokenIds: ...

    def decode_bytes(self, ids: TokenIds) -> bytes: ...


if TYPE_CHECKING:
    LoadTokenizer = Callable[[TokenizerRef], TokenizerLike]
