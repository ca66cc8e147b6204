"""Weights as they are named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def found(model: Path | None) -> Path | None:
    """The weights that `model` means: a file, a folder, or a name on the shelf.

    Raises:
        ModelNotFound, ModelUnknown, ModelAmbiguous.
    """
    if model is None:
        return None
    from rwkv_chat.paths import Paths
    from rwkv_chat.session.shelf_names import resolve

    return resolve(str(model), Paths.find())
