"""A conversation as one file that opens at once elsewhere: a zip archive of JSON and safetensors.

conversation.json   the branch that was chosen, in the form of `rwkv_chat.exporters.json_tree`
capsule.json        {"format": "rwkv-chat capsule", "version": 1, "model" (SHA-256 of the weights),
                    "model_name", "tier", "coding", "sampling": {name: value}, "tokens": [[ids], …] (of the
                    last so many messages: those that the model knows), "states": [messages known, …]}
states/0.safetensors …  the state after so many of those messages, the last one first

Nothing in a file that is read is believed: sizes are checked before anything is read, names must be those
above, keys are derived from the tokens.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from engine.errors import StateCorrupt
from engine.prefix import extend
from engine.store.header import LARGEST_STATE
from engine.store.portable import name_of, portable, read_portable
from engine.types import StateKey
from rwkv_chat.exporters import json_tree as writer
from rwkv_chat.importers import json_tree as reader
from rwkv_chat.session.errors import CapsuleInvalid
from rwkv_chat.session.state_files import ids, sha256, words
from rwkv_chat.settings import fitting_sampling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.types import TokenIds
    from rwkv_chat.transcript import Tree

FORMAT, VERSION = "rwkv-chat capsule", 1
ABOUT, CONVERSATION = "capsule.json", "conversation.json"
MOST_STATES = 4
LARGEST_JSON = 1 << 28


@dataclass(frozen=True, slots=True)
class Capsule:
    """What a capsule holds beside its states.

    Attributes:
        tree: one branch.
        tokens: of its last messages, by message.
        known: after how many of those messages each state stands, the last one first.
    """

    tree: Tree
    model: str
    model_name: str
    tier: str
    coding: str
    sampling: Mapping[str, Any]
    tokens: tuple[TokenIds, ...]
    known: tuple[int, ...]

    def chain(self, known: int) -> TokenIds:
        return tuple(token for each in self.tokens[:known] for token in each)


@dataclass(frozen=True, slots=True)
class Opened:
    """A capsule that was read.

    Attributes:
        id: stands for its states, "" where there are none.
        files: of the states as they are kept here.
    """

    capsule: Capsule
    id: str
    files: tuple[bytes, ...]


def write(file: IO[bytes], capsule: Capsule, states: Sequence[Path]) -> None:
    """Raises: StateCorrupt: a state is damaged.  OSError."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ABOUT, json.dumps(_about(capsule), ensure_ascii=False))
        archive.writestr(CONVERSATION, "".join(writer.write((capsule.tree,))))
        for place, (path, known) in enumerate(zip(states, capsule.known, strict=True)):
            header, data = read_portable(path)
            key = StateKey(capsule.model, capsule.tier, "", "", extend(capsule.chain(known)))
            archive.writestr(_state_name(place), portable(header, data, key, None), zipfile.ZIP_STORED)


def _about(capsule: Capsule) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": capsule.model,
        "model_name": capsule.model_name,
        "tier": capsule.tier,
        "coding": capsule.coding,
        "sampling": dict(capsule.sampling),
        "tokens": [list(each) for each in capsule.tokens],
        "states": list(capsule.known),
    }


def _state_name(place: int) -> str:
    return f"states/{place}.safetensors"


# ------------------------------------------------------------------------------------------------ reading


def is_capsule(path: Path) -> bool:
    """Whether a file seems to be one; nothing in it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {ABOUT, CONVERSATION} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError):
        return False


def read(path: Path, scratch: Path) -> Opened:
    """A capsule, checked to its last byte; states pass through the file `scratch`, which is left there.

    Raises:
        CapsuleInvalid, OSError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = _entries(archive, path)
            capsule = _capsule(_json(archive, infos, path), archive, infos, path)
            files, names = [], hashlib.blake2b(digest_size=16)
            for place, known in enumerate(capsule.known):
                info = infos[_state_name(place)]
                scratch.write_bytes(_bytes(archive, info, LARGEST_STATE, path))
                file, name = _state(capsule, known, scratch, path, info.filename)
                files.append(file)
                names.update(name.encode())
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise CapsuleInvalid(str(path), "zip", "other") from error
    id_ = names.hexdigest() if files else ""
    return Opened(capsule, id_, tuple(files))


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    allowed = {ABOUT, CONVERSATION, *map(_state_name, range(MOST_STATES))}
    names = [each.filename for each in infos]
    if not {ABOUT, CONVERSATION} <= set(names):
        raise CapsuleInvalid(str(path), "entries", "other")
    if len(set(names)) != len(names) or not set(names) <= allowed:
        raise CapsuleInvalid(str(path), "entries")
    if any(each.flag_bits & 1 for each in infos):
        raise CapsuleInvalid(str(path), "encrypted")
    return dict(zip(names, infos, strict=True))


def _bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int, path: Path) -> bytes:
    """An entry's content; what it says of its size is checked first, and again by reading."""
    if info.file_size > most:
        raise CapsuleInvalid(str(path), info.filename)
    with archive.open(info) as file:
        data = file.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise CapsuleInvalid(str(path), info.filename)
    return data


def _json(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], path: Path) -> dict[str, Any]:
    try:
        about = json.loads(_bytes(archive, infos[ABOUT], LARGEST_JSON, path).decode())
    except (ValueError, RecursionError) as error:
        raise CapsuleInvalid(str(path), ABOUT) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT or about.get("version") != VERSION:
        raise CapsuleInvalid(str(path), ABOUT)
    return about


def _capsule(
    about: dict[str, Any], archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], path: Path
) -> Capsule:
    try:
        (tree,) = reader.parse(_bytes(archive, infos[CONVERSATION], LARGEST_JSON, path))
    except (reader.Refused, ValueError) as error:
        raise CapsuleInvalid(str(path), CONVERSATION) from error
    line = [None, *(each.id for each in tree.nodes)]
    if [each.parent for each in tree.nodes] != line[:-1] or tree.thread.tip != line[-1]:
        raise CapsuleInvalid(str(path), CONVERSATION)
    try:
        tokens = tuple(ids(each) for each in about["tokens"])
        known = ids(about["states"])
        made = Capsule(
            tree=tree,
            model=sha256(about["model"]),
            model_name=words(about, "model_name"),
            tier=words(about, "tier"),
            coding=words(about, "coding"),
            sampling=fitting_sampling(about["sampling"]),
            tokens=tokens,
            known=known,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CapsuleInvalid(str(path), ABOUT) from error
    states = {name for name in infos if name not in (ABOUT, CONVERSATION)}
    fits = len(tokens) <= len(tree.nodes) and all(0 < each <= len(tokens) for each in known)
    if not fits or list(known) != sorted(set(known), reverse=True):
        raise CapsuleInvalid(str(path), ABOUT)
    if states != set(map(_state_name, range(len(known)))):
        raise CapsuleInvalid(str(path), "entries")
    return made


def _state(capsule: Capsule, known: int, file: Path, path: Path, name: str) -> tuple[bytes, str]:
    """A state under the key of its tokens, and what stands for it."""
    try:
        header, data = read_portable(file)
        chain = capsule.chain(known)
        pending = ids(json.loads(header.metadata["pending"]))
        if header.metadata["length"] != str(len(chain)) or chain[-len(pending) :] != pending or not pending:
            raise ValueError("tokens")
    except (StateCorrupt, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CapsuleInvalid(str(path), name) from error
    prefix = extend(chain)
    key = StateKey(capsule.model, capsule.tier, "", "", prefix)
    return portable(header, data, key, None), name_of(header, data, prefix)
