"""Adapters on a loaded model: what one touches is read again from the model's file, changed and put back.

The adapter is added in fp32 to the numbers that are stored, on the model's device; the sum is rounded or
quantised as at a load. So a model with an adapter is the one that the merged file would be, and as fast.
On a CUDA device tensors are overwritten where they are, elsewhere replaced: a file is never written to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from engine.models.prepare import LN0
from engine.models.tiers import RUN_DTYPES
from engine.types import Progress
from engine.weights.adapters import merged, scale_of
from engine.weights.reading import read_again

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from torch import Tensor

    from engine.weights.adapters import Adapter
    from engine.weights.reading import Reading, Tensors


@dataclass(frozen=True, slots=True)
class Change:
    """An adapter that was checked against the model, and the alpha that was asked for."""

    adapter: Adapter
    alpha: float | None = None

    @property
    def touched(self) -> frozenset[str]:
        """Official names."""
        return frozenset(self.adapter.parts) | frozenset(self.adapter.whole)

    def id(self) -> str:
        """32 hex digits of what it does: its kind, its scales, its numbers."""
        values = hashlib.blake2b(self.adapter.kind.encode(), digest_size=16)
        for name, matrices in sorted(self.adapter.parts.items()):
            scale = scale_of(name, self.adapter, self.alpha)
            for role, x in sorted(matrices.items()):
                _add(values, f"{name} {role} {scale!r}", x)
        for name, x in sorted(self.adapter.whole.items()):
            _add(values, name, x)
        return values.hexdigest()

    def on(self, device: torch.device) -> Change:
        """The same with its tensors on a device."""
        parts = {
            name: {role: x.to(device) for role, x in matrices.items()}
            for name, matrices in self.adapter.parts.items()
        }
        whole = {name: x.to(device) for name, x in self.adapter.whole.items()}
        return replace(self, adapter=replace(self.adapter, parts=parts, whole=whole))


def _add(values: hashlib.blake2b, what: str, x: Tensor) -> None:
    values.update(f"{what} {x.dtype} {tuple(x.shape)}\0".encode())
    values.update(x.contiguous().reshape(-1).view(torch.uint8).numpy().data)


class Changing:
    """A loaded model's tensors while its adapter is exchanged.

    Attributes:
        consistent: False while some tensors are of one adapter and some of another.
    """

    def __init__(self, reading: Reading, tensors: Tensors, cache: Path | None) -> None:
        """
        Args:
            reading: as the model was loaded.  tensors: the model's own, which are changed.
        """
        self.consistent = True
        self._reading, self._tensors = reading, tensors
        self._plain = read_again(reading, cache)

    def renewed(self, before: Change | None, after: Change | None) -> tuple[str, ...]:
        """Official names of what must be read again, in order."""
        touched = (before.touched if before else frozenset()) | (after.touched if after else frozenset())
        if LN0[0] not in self._tensors and touched & set(LN0):  # they are in the embedding
            touched = touched - set(LN0) | {"emb.weight"}
        return tuple(name for name in self._reading.shapes if name in touched)

    def nbytes(self, names: tuple[str, ...]) -> int:
        """Of the tensors that these names become."""
        forms = self._reading.forms({name: self._reading.shapes[name] for name in names})
        return sum(self._tensors[key].nbytes for key in forms)

    def switch(self, before: Change | None, after: Change | None) -> Generator[Progress, None, bool]:
        """Yields Progress("adapt", bytes done, of all); False if stopped: then all is as it was."""
        names = self.renewed(before, after)
        device = self._reading.device
        before, after = before and before.on(device), after and after.on(device)
        total, done, renewed = self.nbytes(names), 0, []
        self.consistent = not names
        try:
            for name in names:
                if self._reading.should_stop():
                    self._restore(renewed, before)
                    return False
                renewed.append(name)
                self._renew(name, after)
                done += self.nbytes((name,))
                yield Progress("adapt", done, total)
        except Exception:
            self._restore(renewed, before)
            raise
        self.consistent = True
        return True

    def _restore(self, names: list[str], before: Change | None) -> None:
        for name in names:
            self._renew(name, before)
        self.consistent = True

    def _renew(self, name: str, change: Change | None) -> None:
        for key, x in self._made(name, change).items():
            if x.device.type == "cpu":
                self._tensors[key] = x
            else:
                self._tensors[key].copy_(x)

    def _made(self, name: str, change: Change | None) -> Tensors:
        """All tensors that an official one becomes, with this adapter."""
        depends = {name, *LN0} if name == "emb.weight" and LN0[0] not in self._tensors else {name}
        if change is None or not change.touched & depends:
            return self._plain(name)

        def changed(which: str, x: Tensor) -> Tensor:
            return merged(which, x.to(self._reading.device), change.adapter, change.alpha)

        reading = replace(self._reading, change=changed)
        if name == "emb.weight" and LN0[0] in self._tensors:  # it is not folded
            return {name: reading.checked(name).to(RUN_DTYPES[reading.tier]).contiguous()}
        return reading.made(name)
