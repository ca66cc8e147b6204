"""Choosing the next token: one pure function for a step, and a `Sampler` that remembers one reply's counts.

The order is the official package's, with min-p added after top-k:

1. bans and biases;  2. penalties: logit −= presence + count · frequency, for tokens of this reply;
3. softmax in fp32;  4. top-p: keep p ≥ the p at which the descending cumulative sum first reaches top_p;
5. top-k, ties by lower id;  6. min-p: keep p ≥ min_p · max p;  7. p^(1/temperature);  8. draw in proportion.

Guarded edge cases: temperature 0 is the argmax (lowest id of equals); top_p ≥ 1, or a sum that rounding keeps
below top_p, truncates nothing; powers are taken relative to the largest p, so that they never all underflow.

After a draw every count decays, and the drawn token's count grows by 1, or by 0 if its text is a run of the
string `" \\t0123456789"`: presence still applies to those.

Everything runs on the CPU from fp32 logits: a seed gives the same text wherever the logits are the same.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.errors import InvalidRequest, NotFinite
from engine.types import TopToken

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from engine.tokenizer import Tokenizer
    from engine.types import SamplingParams, TokenIds

UNCOUNTED = " \t0123456789"
HEAD = 1e-3  # probabilities of at least this share of the largest are sorted before all are


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments: the random generator's whole state."""
    data = seed.to_bytes(8, "little") + position.to_bytes(8, "little")
    word = int.from_bytes(hashlib.blake2b(data, digest_size=8, person=b"rwkv-sample").digest(), "little")
    return (word >> 11) / (1 << 53)


# ----------------------------------------------------------------------------------------------- one step


def restrictions(params: SamplingParams, tokenizer: Tokenizer, vocab: int) -> Tensor:
    """What is added to the logits [O] before anything else: −inf for ids never sampled, and the biases.

    Raises:
        InvalidRequest: nothing is left to sample, or a bias is not a number or infinite (−inf is a ban).
    """
    added = torch.zeros(vocab)
    for token, bias in params.biases:
        if not bias < math.inf:
            raise InvalidRequest("bias is not a number")
        if 0 <= token < vocab:
            added[token] += bias
    never = [token for token in (*params.bans, *tokenizer.holes) if 0 <= token < vocab]
    added[never] = -math.inf
    added[tokenizer.sampleable :] = -math.inf
    if not bool((added > -math.inf).any()):
        raise InvalidRequest("every token is banned")
    return added


def penalised(logits: Tensor, params: SamplingParams, counts: Mapping[int, float]) -> Tensor:
    """logits [O] less the penalties of the tokens counted; a new tensor if there are any."""
    if not counts or (params.presence_penalty == 0 and params.frequency_penalty == 0):
        return logits
    ids = torch.tensor(list(counts))
    amounts = torch.tensor(list(counts.values()))
    logits = logits.clone()
    logits[ids] -= params.presence_penalty + amounts * params.frequency_penalty
    return logits


def truncated(p: Tensor, params: SamplingParams, head: float = HEAD) -> Tensor:
    """Probabilities p [O] with what top-p, top-k and min-p cut off set to 0 (not normalised again).

    Only those of at least `head` times the largest are sorted where they suffice; `head` = 0 is plain.
    """
    cutoff, most = 0.0, float(p.max())
    if params.top_p < 1:
        likely = p[p >= head * most].sort(descending=True).values
        reached = likely.double().cumsum(0) >= params.top_p
        if bool(reached[-1]):
            cutoff = float(likely[int(reached.int().argmax())])
        elif head > 0:
            return truncated(p, params, 0)
    kept = torch.where(p >= max(cutoff, params.min_p * most), p, 0)
    return _top_k(kept, params.top_k) if 0 < params.top_k < len(p) else kept


def _top_k(p: Tensor, k: int) -> Tensor:
    """The k largest of p [O], of equal ones those with the lower id."""
    least = p.topk(k).values[-1]
    above = p > least
    equal = (p == least).nonzero()[: k - int(above.sum()), 0]
    above[equal] = True
    return torch.where(above, p, 0)


def draw(p: Tensor, temperature: float, chance: float) -> int:
    """The id at which the cumulative sum of p^(1/temperature) passes `chance` (in [0, 1)) of the whole."""
    ids = p.nonzero()[:, 0]
    weights = p[ids].double()
    if temperature != 1:
        weights = (weights / weights.max()) ** (1 / temperature)
    sums = weights.cumsum(0)
    at = int(torch.searchsorted(sums, chance * float(sums[-1]), right=True))
    return int(ids[min(at, len(ids) - 1)])


def sample(logits: Tensor, params: SamplingParams, counts: Mapping[int, float], chance: float) -> int:
    """One step: the next id from logits [O] (fp32, CPU, restrictions already added); pure.

    Raises:
        NotFinite: the model gave no finite logit.
    """
    logits = penalised(logits, params, counts)
    largest = float(logits.max())
    if not math.isfinite(largest):
        raise NotFinite
    if params.temperature == 0:
        return int((logits == largest).nonzero()[0, 0])
    return draw(truncated(logits.softmax(0), params), params.temperature, chance)


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

        self._counts = dict(start.counts)
        self._position = start.position

    def next(self, logits: Tensor) -> int:
        """The next id, from logits [O] (fp32, CPU); remembers nothing."""
        return sample(
            logits + self._added, self._params, self._counts, uniform(self._start.seed, self._position)
        )

    def note(self, token: int) -> None:
        """`token` has become part of the reply."""
        decay = self._params.penalty_decay
        for counted in self._counts:
            self._counts[counted] *= decay
        text = self._tokenizer.token_bytes(token).decode(errors="replace")
        self._counts[token] = self._counts.get(token, 0.0) + (0.0 if text in UNCOUNTED else 1.0)
        self._position += 1

    def state_after(self, tokens: Iterable[int]) -> SamplerState:
        """The state after `tokens` from the start, whatever was drawn since."""
        other = Sampler(self._params, self._tokenizer, self._added, self._start)
        for token in tokens:
            other.note(token)
        return SamplerState(self._start.seed, other._position, tuple(other._counts.items()))


def replay(params: SamplingParams, tokenizer: Tokenizer, seed: int, tokens: TokenIds) -> SamplerState:
    """The state of a sampler that has drawn `tokens`."""
    return Sampler(params, tokenizer, torch.empty(0), SamplerState(seed)).state_after(tokens)
