"""The greedy reply to a fixed prompt, by the model as it is in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from engine.tune.subject import Subject
    from engine.types import Probe, TokenIds


@torch.no_grad()
def reply(subject: Subject, probe: Probe, most: int) -> tuple[TokenIds, bool]:
    """At most so many tokens, without what ends the reply; and whether it ended by itself."""
    subject.put()
    model, said = subject.model, []
    tokens, state = torch.tensor([probe.prompt], device=model.device), subject.begin(1)
    for _ in range(most):
        logits, state = model.forward(tokens, state)
        said.append(int(logits[0].argmax()))
        if said[-1] in probe.stops:
            return tuple(said[:-1]), True
        for text in probe.texts:
            if text and tuple(said[-len(text) :]) == text:
                return tuple(said[: -len(text)]), True
        tokens = torch.tensor([said[-1:]], device=model.device)
    return tuple(said), False
