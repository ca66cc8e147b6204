"""Finding the state from which a chain of tokens goes on: on the device, on the disk, or an ancestor's."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidRequest, StateCorrupt, StateMismatch
from engine.joined import Joined
from engine.keys import CHECKED, Keys
from engine.store.ladder import SHORT
from engine.store.snapshot import Snapshot, layout_of
from engine.types import GenerateRequest, StateKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.models.state import State
    from engine.ram import Ram
    from engine.store.fingerprint import Mark
    from engine.store.statestore import StateStore
    from engine.types import FeedRequest, ModelInfo, StateSource, TokenIds

log = logging.getLogger("engine")

Place = tuple[str, str]  # the id of an initial state, a prefix key
REMEMBERED = 4  # snapshots kept on the device
OUTSIDE = 16  # states from outside kept in RAM
MOST_ALTERNATIVES = 64


@dataclass(frozen=True, slots=True)
class Chain:
    """All tokens that must have been fed before the first draw.

    Attributes:
        keys: prefix key after each token.  new_from: where the request's prompt begins.
        initial: id of the state before the first token.
        fork: where what is remembered parts from it, None for the end.
        goes_on: a cut reply does, of which states may have been saved on its way, beyond the fork.
    """

    tokens: Joined
    keys: Keys
    new_from: int
    fork: int | None = None
    initial: str = ""
    goes_on: bool = False

    @property
    def furthest(self) -> int:
        """The last place from whose state feeding may begin."""
        return self.fork if self.fork is not None and not self.goes_on else len(self.tokens)


@dataclass(frozen=True, slots=True)
class Begin:
    """Where feeding begins: after `snapshot` (None: an empty state)."""

    snapshot: Snapshot | None
    source: StateSource

    @property
    def length(self) -> int:
        return self.snapshot.length if self.snapshot else 0


def chain_of(request: GenerateRequest | FeedRequest, vocab: int) -> Chain:
    """The chain of a request.

    Raises:
        InvalidRequest: nothing to feed, an id outside the vocabulary, a start key that is not the history's
            (see `Keys`), n, continues or fork out of range.
    """
    tokens = Joined(request.history, request.prompt)
    if not tokens:
        raise InvalidRequest("nothing to feed")
    known = request.start is not None and len(request.history) > CHECKED
    check_ids(request.prompt, vocab)
    check_ids(() if known else request.history, vocab)
    fork = _fork(request, len(tokens)) if isinstance(request, GenerateRequest) else None
    keys = Keys(tokens, len(request.history), request.start or None)
    goes_on = isinstance(request, GenerateRequest) and request.continues > 0
    return Chain(tokens, keys, len(request.history), fork, request.initial, goes_on)


def check_ids(tokens: TokenIds, vocab: int) -> None:
    """Raises InvalidRequest: an id outside the vocabulary."""
    if tokens and (min(tokens) < 0 or max(tokens) >= vocab):
        raise InvalidRequest("a token id outside the vocabulary")


def _fork(request: GenerateRequest, length: int) -> int | None:
    """Raises: InvalidRequest."""
    if not 1 <= request.n <= MOST_ALTERNATIVES or not 0 <= request.continues <= length:
        raise InvalidRequest("n or continues out of range")
    if request.fork is not None and not 1 <= request.fork <= length - request.continues:
        raise InvalidRequest("fork out of range")
    return request.fork


class States:
    """The states of one loaded model: a few remembered on its device, more in RAM, the others in the store.

    Attributes:
        begun: how many chains went on from a state of each source.
    """

    def __init__(self, info: ModelInfo, zero: State, store: StateStore | None, mark: Mark, ram: Ram) -> None:
        """
        Args:
            zero: the model's state before the first token, of batch 1, on its device.
            mark: the weights as they were loaded.
        """
        self.mark = mark
        self.begun: Counter[StateSource] = Counter()
        self._initial = {"": zero}  # by id
        self._info, self._store, self._ram = info, store, ram
        self._remembered: OrderedDict[Place, Snapshot] = OrderedDict()
        self._outside: OrderedDict[Place, Snapshot] = OrderedDict()

    def key(self, prefix: str, initial: str = "") -> StateKey:
        """The key of a state; without a model as long as the model's id is not known."""
        return StateKey(self._info.id, self._info.tier, self._info.adapter, initial, prefix)

    @property
    def info(self) -> ModelInfo:
        """The model, with its id as soon as that is known."""
        return self._info

    def adapted(self, adapter: str) -> States:
        """Those of the same model with another adapter: the same states to begin from, none reached yet."""
        info = replace(self._info, adapter=adapter)
        other = States(info, self._initial[""], self._store, self.mark, self._ram)
        other._initial |= self._initial
        other._outside = self._outside
        return other

    def register(self, state: State) -> str:
        """Keeps a state to begin from; returns its id."""
        values = hashlib.blake2b(digest_size=16)
        for x in state.to("cpu").tensors.values():
            values.update(x.float().numpy().data)
        self._initial[values.hexdigest()] = state
        return values.hexdigest()

    def register_snapshot(self, snapshot: Snapshot) -> None:
        """Keeps a state from outside, for chains that begin with its own; its key's `initial` keeps what is
        made from it apart.
        """
        place = snapshot.key.initial, snapshot.key.prefix
        self._initial[snapshot.key.initial] = self._initial[""]
        self._outside[place] = snapshot
        while len(self._outside) > OUTSIDE:
            self._outside.popitem(last=False)

    def first(self, initial: str) -> State:
        """The state before the first token.  Raises InvalidRequest: none of this id is registered."""
        if initial not in self._initial:
            raise InvalidRequest("unknown initial state")
        return self._initial[initial]

    def identified(self, identity: str) -> None:
        """The model's id is known from now on, and names what is remembered."""
        self._info = replace(self._info, id=identity)
        for place, each in self._remembered.items():
            self._remembered[place] = replace(each, key=replace(each.key, model=identity))

    def keep(self, snapshot: Snapshot) -> None:
        """Keeps a snapshot (on the CPU) in RAM; one without a model's id waits there to be saved."""
        self._ram.add(self.mark, snapshot, unsaved=not snapshot.key.model)

    def find(self, chain: Chain) -> Begin:
        """The longest beginning of the chain whose state is remembered or saved; up to its fork, unless a cut
        reply goes on, of which states may have been saved on the way.

        Raises:
            InvalidRequest: the chain's initial state is not registered.
        """
        begin = self._found(chain)
        self.begun[begin.source] += 1
        return begin

    def _found(self, chain: Chain) -> Begin:
        self.first(chain.initial)
        if found := self._found_at(chain, chain.furthest, look=True):
            return found  # as a rule; the folder, which may have thousands of files, is not listed for it
        saved = self._store.prefixes() if self._store else frozenset()
        for length in range(chain.furthest - 1, 0, -1):
            if found := self._found_at(chain, length, look=chain.keys[length - 1][:SHORT] in saved):
                return found
        return Begin(None, "rebuilt" if chain.new_from else "fresh")

    def _found_at(self, chain: Chain, length: int, *, look: bool) -> Begin | None:
        """`look`: on the disk too."""
        prefix = chain.keys[length - 1]
        snapshot, source = self._in_memory((chain.initial, prefix))
        if snapshot is None and look:
            snapshot, source = self._from_disk(prefix, chain, length), "disk"
        if snapshot is None or not _fits(snapshot, chain, length):
            return None
        return Begin(snapshot, source if length >= chain.new_from else "rebuilt")

    def _in_memory(self, place: Place) -> tuple[Snapshot | None, StateSource]:
        """A state that is on the device, or was moved there from RAM."""
        if (snapshot := self._remembered.get(place)) is not None:
            return snapshot, "device"
        info = self._info
        outside = None if info.adapter else self._outside.get(place)  # they are of the model alone
        snapshot = self._ram.get(self.mark, info.tier, info.adapter, *place) or outside
        return (moved(snapshot, self._info.device) if snapshot else None), "ram"

    def _from_disk(self, prefix: str, chain: Chain, length: int) -> Snapshot | None:
        """A saved state, moved to the device; None if it is not there or damaged (it will be rebuilt)."""
        if self._store is None or not self._info.id:
            return None
        key, zero = self.key(prefix, chain.initial), self._initial[""]
        try:
            snapshot = self._store.load(key, layout_of(zero), zero.arch)
            if snapshot is None:
                return None
            if not _fits(snapshot, chain, length):
                raise StateMismatch(f"length {length}", f"length {snapshot.length}")
        except (StateCorrupt, StateMismatch) as error:
            log.warning("a saved state cannot be used and will be rebuilt: %r", error)
            self._store.discard(key)
            return None
        self._ram.add(self.mark, snapshot)
        return moved(snapshot, self._info.device)

    def remember(self, snapshot: Snapshot, way: Keys | None = None) -> None:
        """Keeps the snapshot on the device; in place of those before it on its `way`, if that is given."""
        for place, each in tuple(self._remembered.items()):
            before = each.length < snapshot.length and each.key.initial == snapshot.key.initial
            if way is not None and before and way.has(each.length, each.key.prefix):
                del self._remembered[place]
        place = snapshot.key.initial, snapshot.key.prefix
        self._remembered[place] = snapshot
        self._remembered.move_to_end(place)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def forget(self, prefixes: Iterable[str]) -> None:
        """Lets go of the remembered states of these prefix keys, whatever they began from."""
        gone = set(prefixes)
        for place in [each for each in self._remembered if each[1] in gone]:
            del self._remembered[place]

    def forget_all(self) -> None:
        """Lets go of every remembered state."""
        self._remembered.clear()


def moved(snapshot: Snapshot, device: Any) -> Snapshot:
    """On that device; itself where it is there."""
    there = all(str(x.device) == str(device) for x in snapshot.state.tensors.values())
    return snapshot if there else replace(snapshot, state=snapshot.state.to(device))


def _fits(snapshot: Snapshot, chain: Chain, length: int) -> bool:
    """The key says already what was fed; a state is never used on that alone: its length and pending tokens
    must be the chain's.
    """
    pending = chain.tokens[length - len(snapshot.pending) : length]
    return snapshot.length == length and snapshot.pending == pending
