"""What is tuned: a frozen model, the fp32 tensors that are trained, and the loss of some rows.

A PyTorch module, so that `DistributedDataParallel` can wrap it; nothing else of that machinery is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from engine.tune.base import first_state, open_base
from engine.tune.head import head_loss
from engine.tune.methods import METHODS
from engine.tune.methods.state import begun, name_of
from engine.weights.tuned import begun_from

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.model import Model
    from engine.models.state import State
    from engine.tune.batches import Piece
    from engine.types import TuneConfig

    Tensors = dict[str, Tensor]


class Subject(nn.Module):
    """A model in training.

    Attributes:
        trained: fp32, by the name under which checkpoints keep them.
        kept: what the method needs beside and never changes.
    """

    def __init__(
        self, model: Model, config: TuneConfig, kept: Tensors, first: dict[int, Tensor] | None = None
    ) -> None:
        """
        Args:
            first: the state that is merged into the model's file.
        """
        super().__init__()
        self.model, self.config, self.kept = model, config, kept
        self._method = METHODS[config.method]
        self._first = first or {}
        merged = {name_of(i): x for i, x in self._first.items()} if config.method == "state" else {}
        begin = self._method.trained(model, config, kept | merged)
        self.trained: dict[str, nn.Parameter] = {
            name: nn.Parameter(x.contiguous()) for name, x in begin.items()
        }
        for name, x in self.trained.items():
            self.register_parameter(name.replace(".", "/"), x)

    def begin(self, batch: int) -> State:
        """The state before the first token of so many rows; the tuned one, where that is what is trained."""
        zero = self.model.zero_state(batch)
        if self._first and self.config.method != "state":
            one = begun_from(self._first, self.model.zero_state(1))
            return one.select([0] * batch)
        return begun(zero, dict(self.trained))

    def put(self) -> None:
        """The trained tensors as they are now into the model's."""
        self._method.put(self.model, dict(self.trained), self.config)

    def forward(self, piece: Piece, state: State | None) -> tuple[Tensor, State]:
        """The weighted sum of losses of a piece, fp32; and the state after it.

        Args:
            state: after the piece before; None for the first one.
        """
        self.put()
        device = self.model.device
        start = self.begin(piece.inputs.shape[0]) if state is None else state
        hidden, head, after = self.model.hidden(piece.inputs.to(device), start)
        targets, weights = piece.targets.to(device), piece.weights.to(device)
        loss = head_loss(hidden, head, targets, weights, l2_wrap=self.config.l2_wrap)
        if state is not None and torch.is_grad_enabled():
            # what is trained may have no part in a later piece, and other processes wait for its gradient
            loss = loss + sum(0.0 * x.flatten()[0] for x in self.trained.values())
        return loss, after

    def write(self, folder: Path, values: Tensors | None = None) -> str:
        """What was trained (or those values of it), as programs load it; its name in the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        return self._method.write(values or dict(self.trained), self.kept, self.config, folder)


def open_subject(config: TuneConfig) -> Subject:
    """From the model's file.  Raises what `open_base` raises, and InvalidRequest."""
    method = METHODS[config.method]
    kept = method.kept(Path(config.model), config) if method.kept else {}
    change = method.change
    model = open_base(config, (lambda name, x: change(name, x, kept)) if change else None)
    return Subject(model, config, kept, first_state(config.model, model))
