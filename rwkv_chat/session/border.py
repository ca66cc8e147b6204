"""The engine as the session sees it: `engine.service.Engine`, or a fake one with the same few methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from engine.types import (
        DownloadRequest,
        Event,
        FeedRequest,
        GenerateRequest,
        InitialRequest,
        LoadRequest,
        ModelInfo,
        TokenIds,
        TokenizerRef,
    )


class JobLike(Protocol):
    """A running task: iterate for its events, the last of which is terminal."""

    def cancel(self) -> None: ...

    def __aiter__(self) -> AsyncIterator[Event]: ...


class EngineLike(Protocol):
    def load(self, request: LoadRequest) -> JobLike: ...

    def submit(self, request: GenerateRequest | FeedRequest) -> JobLike: ...

    def register(self, request: InitialRequest) -> JobLike: ...

    def known(self, info: ModelInfo, prefixes: Iterable[str], initial: str = "") -> frozenset[str]: ...

    def identify(self, path: str) -> JobLike: ...

    def download(self, request: DownloadRequest) -> JobLike: ...

    def forget(self, prefixes: Iterable[str]) -> None: ...

    def keep(self, prefixes: Iterable[str]) -> None: ...

    def close(self) -> None: ...


class TokenizerLike(Protocol):
    def encode(self, text: str) -> TokenIds: ...

    def decode_bytes(self, ids: TokenIds) -> bytes: ...


if TYPE_CHECKING:
    LoadTokenizer = Callable[[TokenizerRef], TokenizerLike]
