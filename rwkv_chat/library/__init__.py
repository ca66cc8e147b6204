"""Everything SQL: conversations in one SQLite file, touched by one thread."""

from rwkv_chat.library.database import Library
from rwkv_chat.library.errors import LibraryError

__all__ = ["Library", "LibraryError"]
