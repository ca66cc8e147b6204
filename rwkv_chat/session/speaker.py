"""A model that is ready to speak, as a turn needs it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, TokenizerInvalid
from rwkv_chat.families import Family
from rwkv_chat.session.shelf_headers import measure

if TYPE_CHECKING:
    from engine.types import ModelInfo, TokenizerRef
    from rwkv_chat.session.border import TokenizerLike
    from rwkv_chat.templates import Template

UNKNOWN = Family("", "")


@dataclass(eq=False, slots=True)
class Speaker:
    """Everything a turn needs of a model that is ready. Only `info` changes: its id may come later.

    Attributes:
        coding: under what token ids of this tokenizer and template are kept.
        mark: stands for the id until that is known.
        family: which ways to think and to sample models of its kind know.
        initial: the tuned state that every conversation begins from, by the engine's id; "" for none.
    """

    info: ModelInfo
    template: Template
    tokenizer: TokenizerLike
    coding: str
    mark: str = ""
    family: Family = UNKNOWN
    initial: str = ""

    @property
    def model(self) -> str:
        """What messages and conversations name it by: its id, else its mark."""
        return self.info.id or self.mark


def mark_of(path: str) -> str:
    """Changes when the weights do, and is no id."""
    try:
        return f"unidentified {measure(Path(path))[1]} {path}"
    except EngineError:
        return f"unidentified {path}"


def tokenizer_id(ref: TokenizerRef) -> str:
    """A name that changes with the vocabulary: "world", or the start of the file's SHA-256.

    Raises:
        TokenizerInvalid: the file cannot be read.
    """
    if ref.kind == "world" or ref.path is None:
        return "world"
    try:
        return hashlib.sha256(Path(ref.path).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise TokenizerInvalid(ref.path, error.strerror or str(error)) from error
