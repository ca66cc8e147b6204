"""For whom examples are rendered, and where conversations of the library are read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rwkv_chat import templates
from rwkv_chat.library import nodes
from rwkv_chat.session.examples_types import Voice

if TYPE_CHECKING:
    import sqlite3

    from rwkv_chat.library.database import Library
    from rwkv_chat.library.nodes import StoredNode
    from rwkv_chat.session.examples_reading import ReadBranch
    from rwkv_chat.session.examples_types import Branch
    from rwkv_chat.session.speaker import Speaker


def voice_of(speaker: Speaker, template: str = "") -> Voice:
    """The model that is ready, in its own template or another one. Raises: TemplateInvalid."""
    chosen = templates.template(template) if template else speaker.template
    coding = f"{speaker.coding.partition('/')[0]}/{chosen.name}"
    return Voice(chosen, speaker.tokenizer, speaker.info.spec.vocab_size, speaker.template.name, coding)


def branches_of(library: Library, voice: Voice) -> ReadBranch:
    """Reads branches with the tokens of the voice. To be made in the event loop, and used outside of it.

    What it returns raises ThreadMissing, LibraryError.
    """
    loop = asyncio.get_running_loop()

    def read(branch: Branch) -> tuple[StoredNode, ...]:
        work = library.run(_memory, branch, voice.coding)
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    return read


def _memory(db: sqlite3.Connection, branch: Branch, coding: str) -> tuple[StoredNode, ...]:
    """What a model knows at the branch's end: from where its memory began anew."""
    return nodes.memory(db, branch.tip or nodes.tip(db, branch.thread), coding)
