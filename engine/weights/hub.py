"""What the hub holds now, and what of it is on this machine already.

The listing is asked through `engine.weights.web`, not through `HfApi`: that sets no limit to a wait or to the
size of an answer, and follows redirects wherever they lead. Of `huggingface_hub` the cache look-up is used,
with its telemetry and its implicit token switched off.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from engine.errors import AccessRefused, DownloadFailed, FileGone, Offline
from engine.weights.catalog import LiveFile
from engine.weights.catalog_entry import HUB
from engine.weights.pacing import Pause
from engine.weights.replies import GONE, OK, REFUSED
from engine.weights.web import Web, is_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.weights.catalog import Entry
    from engine.weights.web import Answer

LARGEST_LIST = 8 << 20  # bytes
SECONDS = 10.0  # longest wait for a list


def live_files(
    repository: str, *, endpoint: str = HUB, token: str | None = None, seconds: float = SECONDS
) -> tuple[LiveFile, ...]:
    """The weights files that a repository holds now. Waits for the network: not for an event loop.

    Raises:
        Offline, FileGone, AccessRefused, RedirectRefused, DownloadFailed.
    """
    url = f"{endpoint.rstrip('/')}/api/models/{quote(repository)}?blobs=true"
    with Web(seconds, seconds) as web:
        try:
            with web.get(url, {}, Pause(), token) as answer:
                _check(url, answer)
                read = _json(url, answer)
        except web.library.HTTPError as error:
            raise Offline(urlsplit(url).hostname or "") from error
    return tuple(_files(repository, read))


def cached_file(entry: Entry, folder: Path | None = None) -> Path | None:
    """The entry's file in a Hugging Face cache, whole, to be used where it is; None if it is not there.

    A cache keeps a large file under the name of its SHA-256: one of another name is not taken. What the file
    holds is not read here.

    Args:
        folder: of the cache; None for the one that `huggingface_hub` would use.
    """
    library = quiet_hub()
    found = library.try_to_load_from_cache(entry.repository, entry.file, cache_dir=folder)
    if not isinstance(found, str):
        return None
    path = Path(found)
    try:
        size, blob = path.stat().st_size, path.resolve().name
    except OSError:
        return None
    right_size = size == entry.size or not (entry.exact and entry.sha256)
    right_name = is_sha256(blob) and entry.sha256 in {None, blob}
    return path if right_size and right_name else None


def quiet_hub() -> Any:
    """`huggingface_hub` without telemetry, and without a saved token unless one is handed over.

    Its switches are environment variables read at import; here the values themselves are set, since the
    environment is not ours to read or write.
    """
    import huggingface_hub
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_DISABLE_IMPLICIT_TOKEN = True
    constants.HF_HUB_USER_AGENT_ORIGIN = None
    return huggingface_hub


def _check(url: str, answer: Answer) -> None:
    if answer.status in GONE:
        raise FileGone(url)
    if answer.status in REFUSED:
        raise AccessRefused(url, answer.status)
    if answer.status != OK:
        raise DownloadFailed(url, 0, 0, "server")


def _json(url: str, answer: Answer) -> Any:
    body = bytearray()
    for chunk in answer.chunks:
        body += chunk
        if len(body) > LARGEST_LIST:
            raise DownloadFailed(url, len(body), 0, "nonsense")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DownloadFailed(url, len(body), 0, "nonsense") from error


def _files(repository: str, read: Any) -> Iterator[LiveFile]:
    """The `.pth` files of a model's description; what is not of the expected form is left out."""
    listed = read.get("siblings") if isinstance(read, dict) else None
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, dict):
            continue
        file, size, blob = each.get("rfilename"), each.get("size"), each.get("lfs")
        if isinstance(file, str) and file.endswith(".pth") and isinstance(size, int) and size > 0:
            sha256 = blob.get("sha256") if isinstance(blob, dict) else None
            yield LiveFile(repository, file, size, sha256 if isinstance(sha256, str) else None)
