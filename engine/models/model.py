"""What every version shares: embedding, blocks one after another, head; the state around them.

Axes: B batch, T time, C width, H heads, N head size, V/K value/key channel, L layers, O vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  the field's custom
from torch.utils.checkpoint import checkpoint

from engine.errors import InvalidRequest, StateMismatch
from engine.models.block import LN_EPS, last_token, project
from engine.models.int8_names import SCALE, is_projection
from engine.models.names import split_name
from engine.models.prepare import dtype_of, halved_every
from engine.models.state import State, layout
from engine.models.state_layout import state_tensors
from engine.models.tiers import tier_name
from engine.ops.linear.alone import make_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from engine.models.state_layout import StateTensor
    from engine.types import ModelSpec

Block = dict[str, torch.Tensor]  # official names without "blocks.i.", and what `arrange` made


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of one model, ready to compute with."""

    emb: Tensor  # [O,C]
    ln0: tuple[Tensor, Tensor] | None  # None: already folded into emb
    blocks: tuple[Block, ...]
    ln_out: tuple[Tensor, Tensor]
    head: Block  # head.weight [O,C], and its scales where it has them


class Model(ABC):
    """An RWKV with its weights on one device.

    Args:
        tensors: by official name, vectors as [C], on one device; in other tiers than `TIERS` those of
            `int8.forms`. With ln0: it is applied at every forward, as training needs; without: it has been
            folded (`prepare`). fp16 needs prepared tensors.
        tier: a key of `RUN_DTYPES`; None: the one of the run dtype.
        dtype: run dtype; if the tensors are of another one (fp32 master weights in training) they are cast
            at every forward, and gradients reach them through the cast.

    Attributes:
        recompute: for gradients only what enters each block is kept; the rest is computed again, block by
            block, when they are asked for.
    """

    recompute = False

    def __init__(
        self,
        spec: ModelSpec,
        tensors: dict[str, Tensor],
        *,
        tier: str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.spec = spec
        self.tensors = tensors
        first = tensors["emb.weight"]
        self.dtype = dtype or first.dtype
        self.tier = tier or tier_name(self.dtype)
        self.device = first.device
        self._state_tensors = state_tensors(spec)
        self._halved_every = halved_every(spec, self.dtype)
        self._arranged: Weights | None = None

    @property
    def arch(self) -> str:
        return self.spec.arch

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in self.tensors.values())

    @abstractmethod
    def arrange(self, block: Block) -> Block:
        """One block's tensors, stacked or transformed once for all tokens."""

    @abstractmethod
    def block(
        self, x: Tensor, state: Block, w: Block, carried: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Block, Tensor | None]:
        """One layer: x [B,T,C], its part of the state by the state's names (L left out), its weights.

        `carried` is what the layer before handed on for the same tokens. Returns x, the new state, the same.
        """

    def release(self) -> None:
        """Lets go of what was made from its tensors: they are about to change."""
        self._arranged = None

    def _weights(self) -> Weights:
        """Trained weights change between calls, so only frozen ones are arranged once."""
        if self._arranged is not None:
            return self._arranged
        arranged = self._arrange()
        if not any(x.requires_grad for x in self.tensors.values()):
            self._arranged = arranged
            if self.device.type == "cpu" and torch.is_inference_mode_enabled():
                self._make_rows_ready(arranged)
        return arranged

    def _make_rows_ready(self, weights: Weights) -> None:
        """Packed copies of quantised matrices, for the decode step."""
        for block in (*weights.blocks, weights.head):
            for name, x in block.items():
                if is_projection(name) and name + SCALE in block:
                    make_ready(x, block[name + SCALE], self.dtype)

    def projections(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The matrices that every token is multiplied with, and their scales."""
        for name, x in self.tensors.items():
            found = split_name(name)
            if is_projection(found[1] if found else name):
                yield x, self.tensors.get(name + SCALE)

    def _arrange(self) -> Weights:
        named = {name: self._cast(name, x) for name, x in self.tensors.items()}
        blocks: list[Block] = [{} for _ in range(self.spec.n_layer)]
        for name, x in named.items():
            if found := split_name(name):
                blocks[found[0]][found[1]] = x
        ln0 = None
        if "ln0.weight" in blocks[0]:
            ln0 = blocks[0].pop("ln0.weight"), blocks[0].pop("ln0.bias")
        ln_out = named["ln_out.weight"], named["ln_out.bias"]
        arranged = tuple(self.arrange(block) for block in blocks)
        head = {name: x for name, x in named.items() if name.startswith("head.")}
        return Weights(named["emb.weight"], ln0, arranged, ln_out, head)

    def _cast(self, name: str, x: Tensor) -> Tensor:
        """In its run dtype; packed and 8-bit numbers stay what they are."""
        return x.to(dtype_of(name, self.spec, self.dtype)) if x.is_floating_point() else x

    def zero_state(self, batch: int = 1) -> State:
        """The state before the first token."""

        def made(x: StateTensor) -> Tensor:
            dtype = torch.float32 if x.exact else self.dtype
            return torch.full((batch, *x.shape), x.start, dtype=dtype, device=self.device)

        return State(self.arch, {name: made(x) for name, x in self._state_tensors.items()})

    def check_state(self, state: State, batch: int) -> None:
        """Raises StateMismatch unless `state` is one of this model's, with this batch size."""
        expected = {name: (batch, *x.shape) for name, x in self._state_tensors.items()}
        if state.arch != self.arch or {n: tuple(x.shape) for n, x in state.tensors.items()} != expected:
            raise StateMismatch(f"{self.arch}: {expected}", layout(state))

    def forward(
        self, tokens: Tensor, state: State, *, all_logits: bool = False, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Feeds tokens [B,T] int64 (T ≥ 1) after `state`, which stays as it is.

        Args:
            lengths: [B] int64, 1 … T. The tokens of a row from its length on are padding (any valid id): the
                logits and the state are those after the row's own tokens. With `all_logits` those of the
                padding mean nothing.

        Returns logits fp32 for the next token, [B,O], or for every position, [B,T,O]; and the new state.
        Differentiable when a tensor of the model (or of the state) requires a gradient and grad is on.

        Raises:
            StateMismatch: the state is of another model or batch.  InvalidRequest: lengths out of range.
        """
        x, new, weights = self._hidden(tokens, state, lengths)
        if not all_logits:
            x = last_token(x, lengths)
        x = F.layer_norm(x, x.shape[-1:], *weights.ln_out, LN_EPS)
        return project(x, weights.head, "head.weight").float(), new

    def hidden(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """What `forward` multiplies with the head, [B,T,C]; the head [O,C]; the new state."""
        x, new, weights = self._hidden(tokens, state, None)
        return F.layer_norm(x, x.shape[-1:], *weights.ln_out, LN_EPS), weights.head["head.weight"], new

    def _hidden(self, tokens: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Weights]:
        """All blocks' output [B,T,C], before the last norm."""
        self.check_state(state, tokens.shape[0])
        if lengths is not None:
            _check_lengths(lengths, tokens)
        weights = self._weights()
        x = F.embedding(tokens, weights.emb)
        if weights.ln0:
            x = F.layer_norm(x, x.shape[-1:], *weights.ln0, LN_EPS)
        return *self._blocks(x, state, weights, lengths), weights

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Feeds one token for each row, tokens [B] int64: `forward` with the recurrence done once."""
        return self.forward(tokens.unsqueeze(1), state)

    def _block(
        self, x: Tensor, state: Block, w: Block, carried: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Block, Tensor | None]:
        """`block`, computed again for the gradient if that is wanted."""
        if not (self.recompute and torch.is_grad_enabled()):
            return self.block(x, state, w, carried, lengths)
        return checkpoint(  # pyright: ignore[reportReturnType]  gives back what the function does
            self.block, x, state, w, carried, lengths, use_reentrant=False, preserve_rng_state=False
        )

    def _blocks(
        self, x: Tensor, state: State, weights: Weights, lengths: Tensor | None
    ) -> tuple[Tensor, State]:
        """x [B,T,C] through all blocks; the state's layers are read, and stacked anew."""
        names = tuple(self._state_tensors)
        layers = zip(*(state.tensors[name].unbind(1) for name in names), strict=True)
        new: list[Block] = []
        carried = None
        for i, (w, its) in enumerate(zip(weights.blocks, layers, strict=True)):
            x, after, carried = self._block(x, dict(zip(names, its, strict=True)), w, carried, lengths)
            new.append(after)
            if self._halved_every and (i + 1) % self._halved_every == 0:
                x = x / 2
        return x, State(self.arch, {name: torch.stack([each[name] for each in new], dim=1) for name in names})


def _check_lengths(lengths: Tensor, tokens: Tensor) -> None:
    B, T = tokens.shape
    if lengths.shape != (B,) or int(lengths.min()) < 1 or int(lengths.max()) > T:
        raise InvalidRequest(f"lengths {lengths.tolist()} for {B} rows of {T} tokens")
