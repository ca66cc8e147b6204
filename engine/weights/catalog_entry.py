"""What is known of one model that can be fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from engine.errors import NotAtSource
from engine.types import DownloadRequest
from engine.weights.file_names import is_size, words

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

HUB = "https://huggingface.co"
MODELSCOPE = "https://modelscope.cn/models"

Source = Literal["hub", "modelscope"]


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that a model needs beside it, e.g. its tokenizer.

    Attributes:
        urls: where it can be had, in the order to try.
    """

    file: str
    size: int
    sha256: str
    urls: tuple[str, ...]

    def request(self, folder: Path, endpoint: str = HUB) -> DownloadRequest:
        """What fetches it into `folder`; a mirror of the hub is asked before the hub itself."""
        mirror = endpoint.rstrip("/")
        mirrored = [f"{mirror}{url.removeprefix(HUB)}" for url in self.urls if url.startswith(f"{HUB}/")]
        first, *others = dict.fromkeys((*mirrored, *self.urls))
        return DownloadRequest(first, str(folder / self.file), self.size, self.sha256, tuple(others))


@dataclass(frozen=True, slots=True)
class Series:
    """Models that belong together: one corpus, one way of prompting.

    Attributes:
        id: what prompts are chosen by.  chat: whether they answer; base models only continue a text.
    """

    id: str
    title: str
    chat: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that can be fetched.

    Attributes:
        name: short, as typed: "g1d-0.4b".  family: a series' id.
        repository: on the hub.  modelscope: the same there, None if it is not known to be.
        size: bytes; `exact` says whether it is the file's own, or only computed from the parameters.
        sha256: from a published list; None where none gives it.
        context: tokens of the last training stage.  data: version of the corpus.
        tokenizer: "world" or "20b".  chat: as in `Series`.
        listed: False for a file that only the repository's live list knows.
        loadable: False for architectures that the engine refuses.
    """

    name: str
    family: str
    file: str
    repository: str
    modelscope: str | None
    size: int
    exact: bool
    sha256: str | None
    params: int
    n_layer: int
    n_embd: int
    vocab_size: int
    context: int
    date: date
    data: str
    arch: str
    licence: str
    tokenizer: str
    chat: bool
    companion: Companion | None = None
    listed: bool = True
    loadable: bool = True

    @property
    def label(self) -> str:
        """Its size as in its name: "0.4b"; "" if it says none."""
        return next((word for word in words(self.name) if is_size(word)), "")

    def url(self, source: Source = "hub", endpoint: str = HUB) -> str | None:
        """Its address; `endpoint` is the hub or a mirror of it. None if it is not at `source`."""
        if source == "modelscope":
            place = f"{MODELSCOPE}/{self.modelscope}/resolve/master" if self.modelscope else None
        else:
            place = f"{endpoint.rstrip('/')}/{self.repository}/resolve/main"
        return place and f"{place}/{quote(self.file)}"

    def request(
        self, folder: Path, *, source: Source = "hub", endpoint: str = HUB, token: str | None = None
    ) -> DownloadRequest:
        """What fetches it into `folder`.

        The hub itself stands last: where the bytes come from elsewhere, its word on the SHA-256 is asked.
        ModelScope stands second for a file whose SHA-256 is known, since an old file may be there still.

        Raises:
            NotAtSource: the catalogue knows no address of it at `source`.
        """
        first = self.url(source, endpoint)
        if first is None:
            raise NotAtSource(self.name, source)
        spare = (self.url("modelscope") if self.sha256 else None, self.url("hub"))
        others = tuple(dict.fromkeys(url for url in spare if url and url != first))
        size = self.size if self.exact and self.sha256 else None
        return DownloadRequest(first, str(folder / self.file), size, self.sha256, others, token)
