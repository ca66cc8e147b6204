"""The table of tensors in a `.pth` file's pickle, read without unpickling: nothing in it can run.

A pickle is a program for a small stack machine. This one knows only what a table of tensors needs: it builds
dicts, tuples, texts and numbers, calls nothing, and keeps three names of torch's as plain descriptions.
Anything else is refused. What it may do is limited too, so a small file cannot take much memory.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_STEPS = 500_000  # a 61-layer model takes 60,000


class CodeInPickle(Exception):
    """It names something that is neither a tensor nor a container."""


class NotATable(Exception):
    """It is no flat table of tensors."""


class Malformed(Exception):
    """It is damaged."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies: `offset`, `shape` and `strides` count elements of the storage `key`.

    Attributes:
        storage: torch's name of the storage's type, e.g. "BFloat16Storage".
        length: of the storage.
    """

    storage: str
    key: str
    length: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Name:
    """Something of a module, by name only."""

    full: str


@dataclass(frozen=True, slots=True)
class _Storage:
    kind: str
    key: str
    length: int


class _Mark:
    """Where the items of a container begin."""


_MARK = _Mark()
_DICT, _TENSOR, _PARAMETER = (
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
)
_NAMES = {_DICT, _TENSOR, _PARAMETER}


def _is_count(x: object) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and 0 <= x < 1 << 48


def _is_counts(x: object) -> bool:
    return isinstance(x, tuple) and len(x) <= 8 and all(map(_is_count, x))


def _named(full: str) -> _Name:
    module, _, name = full.partition(" ")
    if full in _NAMES or (module == "torch" and name.endswith("Storage") and name.isalnum()):
        return _Name(full)
    raise CodeInPickle(full[:80])


def _storage(described: object) -> _Storage:
    """From torch's persistent id."""
    match described:
        case ("storage", _Name(full), str(key), str(), int(length)) if _is_count(length):
            return _Storage(full.removeprefix("torch "), key, length)
    raise Malformed("a storage")


def _tensor(arguments: object) -> StoredTensor:
    match arguments:
        case (_Storage() as of, offset, shape, strides, *_) if (
            _is_count(offset) and _is_counts(shape) and _is_counts(strides) and len(shape) == len(strides)
        ):
            return StoredTensor(of.kind, of.key, of.length, offset, shape, strides)
    raise Malformed("a tensor")


def _called(name: object, arguments: object) -> Any:
    """What torch would make of it."""
    match name, arguments:
        case _Name(full), () if full == _DICT:
            return {}
        case _Name(full), _ if full == _TENSOR:
            return _tensor(arguments)
        case _Name(full), (StoredTensor() as tensor, *_) if full == _PARAMETER:
            return tensor
    raise Malformed("a call")


class _Machine:
    """The stack and the memo; one method for each instruction (`_STEPS`)."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def push(self, x: Any) -> None:
        self.stack.append(x)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise Malformed("an empty stack")
        return self.stack.pop()

    def pop_items(self) -> list[Any]:
        """Down to the last mark."""
        items = []
        while self.stack:
            x = self.stack.pop()
            if x is _MARK:
                return items[::-1]
            items.append(x)
        raise Malformed("no mark")

    def tuple_of(self, count: int) -> None:
        self.push(tuple([self.pop() for _ in range(count)][::-1]))

    def remember(self, at: int) -> None:
        self.memo[at] = self.pop()
        self.push(self.memo[at])

    def recall(self, at: int) -> None:
        if at not in self.memo:
            raise Malformed("an empty place")
        self.push(self.memo[at])

    def set_items(self, items: list[Any]) -> None:
        table = self.pop()
        if not isinstance(table, dict) or len(items) % 2:
            raise Malformed("items of no table")
        for name, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(name, str):
                raise NotATable
            table[name] = value
        self.push(table)

    def extend(self, items: list[Any]) -> None:
        target = self.pop()
        if not isinstance(target, list):
            raise Malformed("items of no list")
        target.extend(items)
        self.push(target)

    def call(self) -> None:
        arguments, name = self.pop(), self.pop()
        self.push(_called(name, arguments))

    def name_from_stack(self) -> None:
        name, module = self.pop(), self.pop()
        self.push(_named(f"{module} {name}"))


def _constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(value)


def _pushed(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


def _nothing(machine: _Machine, argument: Any) -> None:
    """Frames and the protocol's number."""


_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": _nothing,
    "FRAME": _nothing,
    "MARK": _constant(_MARK),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_TUPLE": _constant(()),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _pushed),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE"), _pushed),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_items())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_items()),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_items()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda machine, at: machine.remember(at)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, at: machine.recall(at)),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "GLOBAL": lambda machine, name: machine.push(_named(name)),
    "STACK_GLOBAL": lambda machine, _: machine.name_from_stack(),
    "BINPERSID": lambda machine, _: machine.push(_storage(machine.pop())),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: (
        machine.pop()
    ),  # attributes of an OrderedDict: module versions, of no use here
}
_CODE = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID"}


def read_table(data: bytes) -> dict[str, StoredTensor]:
    """The tensors by name.

    Raises:
        CodeInPickle, NotATable, Malformed.
    """
    result = _run(data)
    if not isinstance(result, dict) or not result:
        raise NotATable
    if not all(isinstance(x, StoredTensor) for x in result.values()):
        raise NotATable
    return result


def _run(data: bytes) -> Any:
    machine = _Machine()
    try:
        for number, (instruction, argument, _) in enumerate(pickletools.genops(data)):
            if instruction.name == "STOP":
                return machine.pop()
            if instruction.name in _CODE:
                raise CodeInPickle(instruction.name)
            if instruction.name not in _STEPS or number > MOST_STEPS:
                raise Malformed(instruction.name)
            _STEPS[instruction.name](machine, argument)
    except (ValueError, KeyError, IndexError, OverflowError) as error:  # genops, on damaged bytes
        raise Malformed(type(error).__name__) from error
    raise Malformed("no end")
