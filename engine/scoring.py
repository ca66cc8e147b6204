"""How likely the tokens of a text were, each where it stands: read from the nearest known state on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.devices import prefill_chunk
from engine.errors import InvalidRequest
from engine.generate import prefill
from engine.replying import usage_of
from engine.sampling import top_tokens
from engine.states import chain_of, check_ids
from engine.types import Cancelled, FeedRequest, Prefilled, Scored, TokenScore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from engine.models.state import State
    from engine.replying import Voice
    from engine.tokenizer import Tokenizer
    from engine.types import ScoreRequest, TokenIds

AT_ONCE = 32  # tokens: their logits are all held


def score(
    voice: Voice, request: ScoreRequest, should_stop: Callable[[], bool]
) -> Iterator[Prefilled | Scored | Cancelled]:
    """Reads what the nearest state of the history lacks, then tells a `Scored` for every few tokens.

    Raises:
        InvalidRequest: no history or no token; see `chain_of`.
    """
    if not request.history or not request.prompt:
        raise InvalidRequest("nothing to score")
    check_ids(request.prompt, voice.info.spec.vocab_size)
    before = FeedRequest((), request.history, request.start, request.initial)
    chain = chain_of(before, voice.info.spec.vocab_size)
    begin = voice.states.find(chain)
    state, todo = voice.opened(chain, begin)
    rebuilt = usage_of(chain, begin).history_tokens > 0
    for done, reached in prefill(voice.model, state, todo[:-1], prefill_chunk(voice.info)):
        state = reached
        yield Prefilled(done, len(todo), rebuilt)
        if should_stop():
            yield Cancelled()
            return
    yield from _scored(voice, state, todo[-1], request, should_stop)


def _scored(
    voice: Voice, state: State, last: int, request: ScoreRequest, should_stop: Callable[[], bool]
) -> Iterator[Scored | Cancelled]:
    """`last` stands before the first token, and the state has not consumed it."""
    tokens = request.prompt
    fed = (last, *tokens[:-1])
    for at in range(0, len(tokens), AT_ONCE):
        if should_stop():
            yield Cancelled()
            return
        some = fed[at : at + AT_ONCE]
        logits, state = voice.model.forward(_ids(some, voice.info.device), state, all_logits=True)
        scores = scores_of(logits[0].float().cpu(), tokens[at : at + AT_ONCE], request.top, voice.tokenizer)
        yield Scored(scores, last=at + AT_ONCE >= len(tokens))


def scores_of(logits: Tensor, tokens: TokenIds, top: int, tokenizer: Tokenizer) -> tuple[TokenScore, ...]:
    """What logits [T,O] (fp32, CPU) say of the T tokens that stand there."""
    return tuple(_score(its, token, top, tokenizer) for its, token in zip(logits, tokens, strict=True))


def _score(logits: Tensor, token: int, top: int, tokenizer: Tokenizer) -> TokenScore:
    logprob = float(logits.log_softmax(0)[token])
    rank = int((logits > logits[token]).sum())
    return TokenScore(token, logprob, rank, top_tokens(logits, top, tokenizer))


def _ids(tokens: TokenIds, device: str) -> Tensor:
    return torch.tensor([tokens], dtype=torch.int64, device=device)
