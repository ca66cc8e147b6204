"""What the compute thread owns: the loaded model. Generators only; no thread and no queue in here."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine.adapting import Switched, adapt, change_of
from engine.errors import FileChanged, ModelNotLoaded, OutOfMemory, TokenizerInvalid
from engine.fast_path import graphs_of, pool_of, unused_card
from engine.feeding import feed
from engine.replying import Voice
from engine.scoring import score
from engine.states import States
from engine.store.fingerprint import mark
from engine.store.outside import SNAPSHOT, read_outside
from engine.tokenizer import load_tokenizer
from engine.types import (
    Adapted,
    Cancelled,
    Loaded,
    ModelInfo,
    NotFast,
    NotKept,
    Progress,
    Registered,
    TierChosen,
    Unloaded,
)
from engine.weights import load as weights
from engine.weights.tuned import begun_from, merged_state, read_tuned_state

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from engine.models.state import State
    from engine.ram import Ram
    from engine.saver import Save
    from engine.store.fingerprint import Mark
    from engine.store.snapshot import Snapshot
    from engine.store.statestore import StateStore
    from engine.tokenizer import Tokenizer
    from engine.types import (
        AdaptRequest,
        Event,
        FeedRequest,
        GenerateRequest,
        InitialRequest,
        LoadRequest,
        SamplingParams,
        ScoreRequest,
        StateSource,
    )
    from engine.weights.adapt import Change


class Compute:
    """At most one loaded model."""

    def __init__(
        self, store: StateStore | None, identity: Callable[[Mark], str], cache: Path | None, ram: Ram
    ) -> None:
        """
        Args:
            identity: the id of weights, "" as long as it is not known.
            cache: folder for converted weights that cannot stand beside the model.
        """
        self._store, self._identity, self._cache = store, identity, cache
        self._ram = ram
        self._voice: Voice | None = None
        self._change: Change | None = None

    def load(
        self, request: LoadRequest, should_stop: Callable[[], bool]
    ) -> Iterator[Progress | NotKept | TierChosen | NotFast | Loaded | Cancelled]:
        """Loads a model in place of the one before, which stays if this fails or is cancelled.

        Raises:
            EngineError: the file, its tokenizer or the device cannot be used.
        """
        path = Path(request.path)
        before = mark(path)
        tokenizer = load_tokenizer(request.tokenizer)
        model = yield from self._read(request, should_stop)
        if model is None or should_stop():
            yield Cancelled()
            return
        if unused := unused_card(request.device, model.device):
            yield unused
        if mark(path) != before:
            raise FileChanged(request.path)
        _check_vocabulary(request, tokenizer, model.spec.vocab_size)
        zero = _zero_state(path, model)
        info = _info(self._identity(before), request, model, zero.nbytes)
        states = States(info, zero, self._store, before, self._ram)
        graphs = yield from graphs_of(model, tokenizer, self._cache)
        self._voice, self._change = Voice(model, info, tokenizer, states, graphs), None
        yield Loaded(info)

    def adapt(
        self, request: AdaptRequest, should_stop: Callable[[], bool]
    ) -> Iterator[Progress | Adapted | Cancelled]:
        """Puts an adapter into the loaded model in place of the one before, which stays if this fails.

        Raises:
            ModelNotLoaded: no model has been loaded.
            EngineError: the adapter cannot be read or is for another model; the model's file has changed; no
                room. If the model could not be brought back, it is loaded no more.
        """
        if self._voice is None:
            raise ModelNotLoaded
        change = change_of(request, self._voice.info.spec)
        try:
            model = yield from adapt(self._voice, self._change, change, self._cache, should_stop)
        except Switched as error:
            self._voice = None
            raise (error.__cause__ or error) from None
        if model is None:
            yield Cancelled()
            return
        states = self._voice.states.adapted(change.id() if change else "")
        tokenizer = self._voice.tokenizer
        graphs = pool_of(model, tokenizer) if self._voice.graphs else None
        self._voice, self._change = Voice(model, states.info, tokenizer, states, graphs), change
        yield Adapted(request.path, states.info)

    def unload(self) -> Unloaded:
        """Gives the model back, if there is one, and what the device holds for it."""
        if self._voice is None:
            return Unloaded(0)
        nbytes, device = self._voice.info.nbytes, self._voice.info.device
        self._voice.model.release()
        self._voice, self._change = None, None
        gc.collect()  # graphs and jobs that have ended may hold tensors in a ring
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return Unloaded(nbytes, device)

    def _read(
        self, request: LoadRequest, should_stop: Callable[[], bool]
    ) -> Generator[Progress | NotKept | TierChosen, Any, Any]:
        """The model; None if stopped. Where two do not fit, the one before is given up."""
        load = partial(
            weights.load,
            request.path,
            device=request.device,
            dtype=request.dtype,
            cache=self._cache,
            should_stop=should_stop,
        )
        try:
            return (yield from load(releasable=self._held(request.device)))
        except OutOfMemory:
            if self._voice is None:
                raise
            self._voice = None
            self.free_memory()
        return (yield from load())

    def _held(self, device: str) -> int:
        """Bytes of the loaded model, if it is on this device."""
        there = self._voice is not None and self._voice.info.device == str(weights.choose_device(device))
        return self._voice.info.nbytes if self._voice and there else 0

    def reply(
        self,
        request: GenerateRequest,
        should_stop: Callable[[], bool],
        changed: Callable[[], SamplingParams | None] = lambda: None,
    ) -> Iterator[Event | Save]:
        """See `Voice.reply`.

        Raises:
            ModelNotLoaded: no model has been loaded.
        """
        if self._voice is None:
            raise ModelNotLoaded
        yield from self._voice.reply(request, should_stop, changed)

    def score(self, request: ScoreRequest, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """See `engine.scoring.score`.

        Raises:
            ModelNotLoaded: no model has been loaded.
        """
        if self._voice is None:
            raise ModelNotLoaded
        yield from score(self._voice, request, should_stop)

    def feed(self, request: FeedRequest, should_stop: Callable[[], bool]) -> Iterator[Event | Save]:
        """See `engine.feeding.feed`.

        Raises:
            ModelNotLoaded: no model has been loaded.
        """
        if self._voice is None:
            raise ModelNotLoaded
        yield from feed(self._voice, request, should_stop)

    def register(self, request: InitialRequest) -> Registered:
        """Makes an initial state of the loaded model ready to begin from.

        Raises:
            ModelNotLoaded: no model has been loaded.
            EngineError: the file is no state to begin from, or one of another model.
        """
        if self._voice is None:
            raise ModelNotLoaded
        if request.form == SNAPSHOT:
            states, zero = self._voice.states, self._voice.model.zero_state(1)
            states.register_snapshot(read_outside(Path(request.path), zero, self._voice.info, request.id))
            return Registered(request.path, request.id)
        layers = read_tuned_state(Path(request.path), self._voice.info.spec, request.form)
        state = begun_from(layers, self._voice.model.zero_state(1))
        return Registered(request.path, self._voice.states.register(state))

    def quicken(self) -> bool:
        """A step of what makes the loaded model quicker; False where nothing is left."""
        return self._voice is not None and next(self._voice.spare, None) is not None

    def keep(self, snapshot: Snapshot) -> None:
        """Keeps a snapshot of the loaded model in RAM; one without an id waits there to be saved."""
        if self._voice:
            self._voice.states.keep(snapshot)

    @property
    def begun(self) -> tuple[tuple[StateSource, int], ...]:
        """How many chains went on from a state of each source since the model was loaded."""
        return tuple(self._voice.states.begun.items()) if self._voice else ()

    def identified(self, model: Mark, identity: str) -> list[Snapshot]:
        """The id of some weights became known; returns what waited for it, to be saved."""
        if self._voice and self._voice.states.mark == model:
            self._voice.states.identified(identity)
        return self._ram.take(model, identity)

    def forget(self, prefixes: Iterable[str]) -> None:
        """Lets go of remembered and waiting states of these prefix keys."""
        self._ram.forget(prefixes)
        if self._voice:
            self._voice.states.forget(prefixes)

    def free_memory(self) -> None:
        """Gives back what can be had again, after the device ran out of memory."""
        if self._voice:
            self._voice.states.forget_all()
            if self._voice.graphs:
                self._voice.graphs.forget()
        self._ram.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _zero_state(path: Path, model: Any) -> State:
    """The model's state before the first token: zeros, or the tuned state merged into its file."""
    zero, merged = model.zero_state(1), merged_state(path, model.spec)
    return begun_from(merged, zero) if merged else zero


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
        tier=model.tier,
        device=str(model.device),
        tokenizer=request.tokenizer,
        nbytes=model.nbytes,
        state_nbytes=state_nbytes,
    )
