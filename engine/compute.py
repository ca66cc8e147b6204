"""What the compute thread owns: the loaded model. Generators only; no thread and no queue in here."""

from __future__ import annotations

import contextlib
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import InvalidRequest, ModelNotFound, ModelNotLoaded, OutOfMemory, TokenizerInvalid
from engine.feeding import feed
from engine.replying import Voice
from engine.states import States
from engine.store.fingerprint import Stopped, fingerprint
from engine.tokenizer import load_tokenizer
from engine.types import Cancelled, Loaded, ModelInfo, Progress
from engine.weights import load as weights

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Executor, Future

    from engine.saver import Save
    from engine.store.statestore import StateStore
    from engine.tokenizer import Tokenizer
    from engine.types import Event, FeedRequest, GenerateRequest, LoadRequest

HASH_POLL_SECONDS = 0.05


class Compute:
    """At most one loaded model."""

    def __init__(self, store: StateStore | None, cache: Path | None, transfer: Executor) -> None:
        """`transfer` hashes weights meanwhile; `cache` is the folder where hashes are remembered."""
        self._store, self._cache, self._transfer = store, cache, transfer
        self._voice: Voice | None = None

    def load(
        self, request: LoadRequest, should_stop: Callable[[], bool]
    ) -> Iterator[Progress | Loaded | Cancelled]:
        """Loads a model in place of the one before, which stays if this fails or is cancelled.

        Raises:
            EngineError: the file, its tokenizer or the device cannot be used.
        """
        path = Path(request.path)
        if not path.is_file():
            raise ModelNotFound(request.path)
        if request.dtype not in ("auto", *weights.TIERS):
            raise InvalidRequest(f"unknown dtype {request.dtype}")
        tokenizer = load_tokenizer(request.tokenizer)
        hashing = self._transfer.submit(fingerprint, path, self._cache, should_stop)
        model = yield from self._read(request, should_stop)
        identity = yield from _wait(hashing, path.stat().st_size)
        if model is None or identity is None or should_stop():
            yield Cancelled()
            return
        _check_vocabulary(request, tokenizer, model.spec.vocab_size)
        zero = model.zero_state(1)
        info = _info(identity, request, model, zero.nbytes)
        self._voice = Voice(model, info, tokenizer, States(info, zero, self._store))
        yield Loaded(info)

    def _read(self, request: LoadRequest, should_stop: Callable[[], bool]) -> Generator[Progress, Any, Any]:
        """The model; None if stopped. Where two do not fit, the one before is given up."""
        load = partial(
            weights.load, request.path, device=request.device, dtype=request.dtype, should_stop=should_stop
        )
        try:
            return (yield from load())
        except OutOfMemory:
            if self._voice is None:
                raise
            self._voice = None
            self.free_memory()
        return (yield from load())

    def reply(self, request: GenerateRequest, should_stop: Callable[[], bool]) -> Iterator[Event | Save]:
        """See `Voice.reply`.

        Raises:
            ModelNotLoaded: no model has been loaded.
        """
        if self._voice is None:
            raise ModelNotLoaded
        yield from self._voice.reply(request, should_stop)

    def feed(self, request: FeedRequest, should_stop: Callable[[], bool]) -> Iterator[Event | Save]:
        """See `engine.feeding.feed`.

        Raises:
            ModelNotLoaded: no model has been loaded.
        """
        if self._voice is None:
            raise ModelNotLoaded
        yield from feed(self._voice, request, should_stop)

    def forget(self, prefixes: Iterable[str]) -> None:
        """Lets go of remembered states of these prefix keys."""
        if self._voice:
            self._voice.states.forget(prefixes)

    def free_memory(self) -> None:
        """Gives back what can be had again, after the device ran out of memory."""
        if self._voice:
            self._voice.states.forget_all()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _check_vocabulary(request: LoadRequest, tokenizer: Tokenizer, rows: int) -> None:
    """A vocabulary may be smaller than the model's rows (padding); a larger one is another model's."""
    if tokenizer.sampleable > rows:
        name = request.tokenizer.path or request.tokenizer.kind
        raise TokenizerInvalid(
            name, f"it has ids up to {tokenizer.sampleable - 1}, the model only {rows} rows"
        )


def _info(identity: str, request: LoadRequest, model: Any, state_nbytes: int) -> ModelInfo:
    return ModelInfo(
        id=identity,
        path=request.path,
        spec=model.spec,
        tier=weights.tier_name(model.dtype),
        device=str(model.device),
        tokenizer=request.tokenizer,
        nbytes=model.nbytes,
        state_nbytes=state_nbytes,
    )


def _wait(hashing: Future[str], total: int) -> Generator[Progress, Any, str | None]:
    """The hash; None if it was stopped."""
    while True:
        with contextlib.suppress(NotYet):
            try:
                return hashing.result(HASH_POLL_SECONDS)
            except Stopped:
                return None
        yield Progress("hash", 0, total)
