"""Choosing the next token: one pure function for a step, and a `Sampler` that remembers one reply's counts.

The order is the official package's, with min-p added after top-k:

1. bans and biases;  2. penalties: logit −= presence + count · frequency, for tokens of this reply;
3. softmax in fp32;  4. top-p: keep p ≥ the p at which the descending cumulative sum first reaches top_p;
5. top-k, ties by lower id;  6. min-p: keep p ≥ min_p · max p;  7. p^(1/temperature);  8. draw in proportion.

Guarded edge cases: temperature 0 is the argmax (lowest id of equals); top_p ≥ 1, or a sum that rounding keeps
below top_p, truncates nothing; powers are taken relative to the largest p, so that they never all underflow.

After a draw every count decays, and the drawn token's count grows by 1, or by 0 if its text is a run of the
string `" \\t0123456789"`: presence still applies to those.

Steps 2 to 8 stand in `engine.ops.sample`, for one row on the CPU and for all rows on a GPU. Both take fp32
logits: a seed gives the same text wherever the logits are the same.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.errors import InvalidRequest
from engine.ops.sample.naive import draw, penalised, sample, truncated
from engine.types import TopToken

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from engine.tokenizer import Tokenizer
    from engine.types import SamplingParams, TokenIds

__all__ = [
    "Sampler",
    "SamplerState",
    "draw",
    "penalised",
    "replay",
    "restrictions",
    "sample",
    "top_tokens",
    "truncated",
    "uncounted",
    "uniform",
]

UNCOUNTED = " \t0123456789"


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments: the random generator's whole state."""
    data = seed.to_bytes(8, "little") + position.to_bytes(8, "little")
    word = int.from_bytes(hashlib.blake2b(data, digest_size=8, person=b"rwkv-sample").digest(), "little")
    return (word >> 11) / (1 << 53)


def uncounted(tokenizer: Tokenizer, token: int) -> bool:
    """Whether no frequency penalty counts this token."""
    return tokenizer.token_bytes(token).decode(errors="replace") in UNCOUNTED


# ----------------------------------------------------------------------------------------------- one step


def restrictions(params: SamplingParams, tokenizer: Tokenizer, vocab: int) -> Tensor:
    """What is added to the logits [O] before anything else: −inf for ids never sampled, and the biases. To be
    read only: who asks again gets the same tensor, since it stands between a request and its first token.

    Raises:
        InvalidRequest: nothing is left to sample, or a bias is not a number or infinite (−inf is a ban).
    """
    return _restrictions(params.biases, params.bans, tokenizer, vocab)


@functools.lru_cache(maxsize=4)
def _restrictions(
    biases: tuple[tuple[int, float], ...], bans: TokenIds, tokenizer: Tokenizer, vocab: int
) -> Tensor:
    added = torch.zeros(vocab)
    for token, bias in biases:
        if not bias < math.inf:
            raise InvalidRequest("bias is not a number")
        if 0 <= token < vocab:
            added[token] += bias
    never = [token for token in (*bans, *tokenizer.holes) if 0 <= token < vocab]
    added[never] = -math.inf
    added[tokenizer.sampleable :] = -math.inf
    if not bool((added > -math.inf).any()):
        raise InvalidRequest("every token is banned")
    return added


def top_tokens(logits: Tensor, count: int, tokenizer: Tokenizer) -> tuple[TopToken, ...]:
    """The `count` likeliest next tokens as the model gives them, logits [O] before any change."""
    values, ids = logits.log_softmax(0).topk(min(count, len(logits)))
    return tuple(
        TopToken(token, tokenizer.token_bytes(token).decode(errors="replace"), value)
        for token, value in zip(ids.tolist(), values.tolist(), strict=True)
    )


# ----------------------------------------------------------------------------------------------- one reply


@dataclass(frozen=True, slots=True)
class SamplerState:
    """What continuing a reply needs besides its tokens.

    Attributes:
        position: tokens drawn so far.  counts: (id, decayed count) in order of first appearance.
    """

    seed: int = 0
    position: int = 0
    counts: tuple[tuple[int, float], ...] = ()


class Sampler:
    """Draws one reply's tokens."""

    def __init__(
        self, params: SamplingParams, tokenizer: Tokenizer, restrictions: Tensor, start: SamplerState
    ) -> None:
        """`restrictions` [O] as the function of this name gives them; shared by the rows of a batch."""
        self._params, self._tokenizer, self._added = params, tokenizer, restrictions
        self._start = start
        self._decays = [(0, params.penalty_decay)]  # (from which position on, the decay)
        self._counts = dict(start.counts)
        self._position = start.position

    def next(self, logits: Tensor) -> int:
        """The next id, from logits [O] (fp32, CPU); remembers nothing."""
        return sample(
            logits + self._added, self._params, self._counts, uniform(self._start.seed, self._position)
        )

    def change(self, params: SamplingParams, restrictions: Tensor, position: int) -> None:
        """Other params from the token at `position` on, which is not drawn yet."""
        self._params, self._added = params, restrictions
        self._decays.append((position, params.penalty_decay))

    def note(self, token: int) -> None:
        """`token` has become part of the reply."""
        decay = next(decay for begin, decay in reversed(self._decays) if begin <= self._position)
        for each in self._counts:
            self._counts[each] *= decay
        counted = 0.0 if uncounted(self._tokenizer, token) else 1.0
        self._counts[token] = self._counts.get(token, 0.0) + counted
        self._position += 1

    @property
    def state(self) -> SamplerState:
        """After every token noted."""
        return SamplerState(self._start.seed, self._position, tuple(self._counts.items()))

    def state_after(self, tokens: Iterable[int]) -> SamplerState:
        """The state after `tokens` from the start, whatever was drawn since."""
        other = Sampler(self._params, self._tokenizer, self._added, self._start)
        other._decays = self._decays
        for token in tokens:
            other.note(token)
        return other.state


def replay(
    params: SamplingParams,
    tokenizer: Tokenizer,
    seed: int,
    tokens: TokenIds,
    earlier: Sequence[tuple[int, SamplingParams]] = (),
) -> SamplerState:
    """The state of a sampler that has drawn `tokens`; `earlier`: see `GenerateRequest`."""
    first = earlier[0][1] if earlier else params
    sampler = Sampler(first, tokenizer, torch.empty(0), SamplerState(seed))
    after = (*(each for _, each in earlier[1:]), params)
    for (position, _), its in zip(earlier, after, strict=False):
        sampler.change(its, torch.empty(0), position)
    return sampler.state_after(tokens)
