"""What of a reply the model will remember: all of it, or the answer without the thoughts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.types import TokenIds
    from rwkv_chat.session.chain import Asking
    from rwkv_chat.session.manner import Manner


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one reply. Thoughts are forgotten unless the conversation keeps them; then nothing of the way to
    think is left in the chain either: it is what a reply without thoughts would have made.
    """

    manner: Manner
    asked: Asking

    def forgets(self, reasoning: str) -> bool:
        """The answer will be remembered in the template's plain form, not as it was drawn."""
        return (
            not self.asked.begun and not self.manner.keep and (bool(self.manner.mode.tail) or bool(reasoning))
        )

    def whole(self, drawn: TokenIds, reasoning: str, answer: str) -> TokenIds:
        """The ids of a finished reply, of which `drawn` is new."""
        if not self.forgets(reasoning):
            return self.asked.lead + self.asked.drawn + drawn
        return tuple(self.manner.tokenizer.encode(self.plain(answer)))

    def as_drawn(self, drawn: TokenIds, reasoning: str) -> TokenIds:
        """All that was drawn of it, where that is not what will be remembered."""
        return self.asked.drawn + drawn if self.forgets(reasoning) else ()

    def plain(self, answer: str) -> str:
        """The answer in the template's plain form; nothing where there is none yet."""
        return self.manner.template.render("assistant", answer, first=False) if answer else ""

    def is_saved(self, reasoning: str) -> bool:
        """The engine's state after the reply is the one to go on from."""
        return self.asked.fork is None and not self.forgets(reasoning)
