"""The sampler against a plain twin written from the official semantics, its edge cases, and its seeds."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest
import torch

from engine.errors import InvalidRequest, NotFinite
from engine.sampling import (
    Sampler,
    SamplerState,
    draw,
    penalised,
    replay,
    restrictions,
    sample,
    top_tokens,
    truncated,
    uniform,
)
from engine.types import SamplingParams


class Letters:
    """A tokenizer whose id n is a letter, a digit, a run of digits, a broken character or nothing."""

    texts = (b"", b"a", b"b", b"7", b"12", b"21", b" ", b"\t", b"\xe4", b" \t", b"99", b"c")
    vocab_size = len(texts)
    sampleable = len(texts)
    holes: tuple[int, ...] = ()

    def token_bytes(self, token: int) -> bytes:
        return self.texts[token]

    def decode_bytes(self, ids) -> bytes:
        return b"".join(self.texts[token] for token in ids)

    def encode(self, text: str) -> tuple[int, ...]:
        raise NotImplementedError

    def encode_bytes(self, data: bytes) -> tuple[int, ...]:
        raise NotImplementedError


# --------------------------------------------------------------------------------------------- the plain twin


def plain_kept(logits: list[float], params: SamplingParams) -> dict[int, float]:
    """id → weight before the draw: the steps one after the other, on Python floats."""
    largest = max(logits)
    powers = [math.exp(logit - largest) for logit in logits]
    p = [power / sum(powers) for power in powers]
    order = sorted(range(len(p)), key=lambda token: (-p[token], token))
    cutoff, cumulative = 0.0, 0.0
    if params.top_p < 1:
        for token in order:
            cumulative += p[token]
            if cumulative >= params.top_p:
                cutoff = p[token]
                break
    kept = [token for token in order if p[token] >= cutoff]
    if 0 < params.top_k < len(p):
        kept = kept[: params.top_k]
    kept = [token for token in kept if p[token] >= params.min_p * p[order[0]]]
    return {token: (p[token] / p[order[0]]) ** (1 / params.temperature) for token in kept}


def plain_sample(logits: list[float], params: SamplingParams, counts: dict[int, float], chance: float) -> int:
    adjusted = list(logits)
    for token, count in counts.items():
        adjusted[token] -= params.presence_penalty + count * params.frequency_penalty
    if params.temperature == 0:
        return adjusted.index(max(adjusted))
    kept = plain_kept(adjusted, params)
    wanted, passed = chance * sum(kept.values()), 0.0
    for token in sorted(kept):
        passed += kept[token]
        if passed > wanted:
            return token
    return max(kept)


def random_params(rng: random.Random) -> SamplingParams:
    return SamplingParams(
        temperature=rng.choice((0, 0.05, 0.5, 1.0, 1.0, 1.7, 5.0)),
        top_p=rng.choice((0.0, 0.1, 0.5, 0.9, 0.999, 1.0)),
        top_k=rng.choice((0, 0, 1, 2, 5, 40, 65536)),
        min_p=rng.choice((0.0, 0.0, 0.05, 0.5, 1.0)),
        presence_penalty=rng.choice((0.0, 0.5, -1.0)),
        frequency_penalty=rng.choice((0.0, 0.3, 2.0)),
    )


def test_sample_agrees_with_the_plain_twin() -> None:
    """Logits are multiples of 1/4, so that ties are frequent and rounding decides nothing."""
    rng = random.Random(1)
    agreed = 0
    for _ in range(1500):
        size = rng.choice((2, 7, 40, 300))
        logits = [rng.randint(-20, 20) / 4 for _ in range(size)]
        counts = {rng.randrange(size): rng.randint(0, 8) / 4 for _ in range(rng.randint(0, 5))}
        params, chance = random_params(rng), rng.random()
        found = sample(torch.tensor(logits), params, counts, chance)
        expected = plain_sample(logits, params, counts, chance)
        agreed += found == expected
        if found != expected:  # fp32 and Python's doubles may differ where the sum just reaches a limit
            nudged = {plain_sample(logits, params, counts, chance + d) for d in (-1e-5, 1e-5)}
            nudged |= {
                plain_sample(
                    logits, replace(params, top_p=min(1.0, max(0.0, params.top_p + d))), counts, chance
                )
                for d in (-1e-6, 1e-6)
            }
            assert found in nudged
    assert agreed > 1475


def test_the_fast_truncation_equals_the_full_sort() -> None:
    rng = torch.Generator().manual_seed(2)
    params_of = random.Random(3)
    for size in (3, 1000, 5000):
        for scale in (0.0, 0.5, 3.0, 12.0):
            p = (torch.randn(size, generator=rng) * scale).softmax(0)
            for _ in range(12):
                params = random_params(params_of)
                assert torch.equal(truncated(p, params), truncated(p, params, head=0))


# ---------------------------------------------------------------------------------------------- step by step


@pytest.mark.parametrize(
    ("params", "kept"),
    [
        (SamplingParams(top_p=1.0), [0, 1, 2, 3]),
        (SamplingParams(top_p=0.5), [0]),  # 0.5 reaches it
        (SamplingParams(top_p=0.51), [0, 1]),  # the crossing token is kept
        (SamplingParams(top_p=0.76), [0, 1, 2, 3]),  # ties with the cutoff stay
        (SamplingParams(top_p=0.0), [0]),
        (SamplingParams(top_p=1.0, top_k=3), [0, 1, 2]),  # of equals the lower id
        (SamplingParams(top_p=1.0, top_k=4), [0, 1, 2, 3]),
        (SamplingParams(top_p=1.0, min_p=0.5), [0, 1]),
        (SamplingParams(top_p=1.0, min_p=0.51), [0]),
        (SamplingParams(top_p=0.76, top_k=2, min_p=0.1), [0, 1]),
    ],
)
def test_truncation(params: SamplingParams, kept: list[int]) -> None:
    p = torch.tensor([0.5, 0.25, 0.125, 0.125])
    assert truncated(p, params).nonzero()[:, 0].tolist() == kept
    assert truncated(p, params, head=0).nonzero()[:, 0].tolist() == kept


def test_top_p_1_is_not_greedy_although_the_sum_stays_below_1() -> None:
    """Rounding keeps the official package's cumulative sum below top_p, and makes it greedy."""
    p = torch.full((1000,), 0.0009999)
    for top_p in (1.0, 0.99999):
        assert int(truncated(p, SamplingParams(top_p=top_p)).count_nonzero()) == 1000


def test_temperature_comes_after_truncation() -> None:
    """At temperature 5 a truncation made afterwards would keep more than one."""
    logits = torch.tensor([2.0, 0.0, -1.0])
    params = SamplingParams(temperature=5.0, top_p=0.8)
    assert {sample(logits, params, {}, chance / 50) for chance in range(50)} == {0}


def test_temperature_0_is_greedy_and_takes_the_lowest_of_equals() -> None:
    assert sample(torch.tensor([1.0, 3.0, 3.0]), SamplingParams(temperature=0), {}, 0.99) == 1


def test_a_tiny_temperature_does_not_underflow() -> None:
    p = torch.full((50_000,), 2e-5)
    assert draw(p, 0.001, 0.5) in (24_999, 25_000)


def test_draw_covers_both_ends() -> None:
    p = torch.tensor([0.0, 0.25, 0.0, 0.75, 0.0])
    assert draw(p, 1.0, 0.0) == 1
    assert draw(p, 1.0, 0.2499) == 1
    assert draw(p, 1.0, 0.25) == 3
    assert draw(p, 1.0, 1 - 2**-53) == 3


def test_penalties_touch_only_counted_tokens_and_make_a_new_tensor() -> None:
    logits = torch.tensor([1.0, 1.0, 1.0])
    params = SamplingParams(presence_penalty=0.5, frequency_penalty=0.25)
    assert penalised(logits, params, {2: 2.0, 0: 0.0}).tolist() == [0.5, 1.0, 0.0]
    assert logits.tolist() == [1.0, 1.0, 1.0]


def test_draws_follow_the_probabilities() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    params = SamplingParams(top_p=1.0)
    found = Counter(sample(logits, params, {}, uniform(9, position)) for position in range(6000))
    for token, share in enumerate((0.5, 0.3, 0.2)):
        assert abs(found[token] / 6000 - share) < 4 * math.sqrt(share * (1 - share) / 6000)


# ---------------------------------------------------------------------------------------------- restrictions


def test_ids_without_meaning_are_never_sampled() -> None:
    """A model's output row is often longer than its vocabulary (World: ids from 65530 on)."""

    class Sparse(Letters):
        sampleable = 10
        holes: tuple[int, ...] = (4,)

    logits = torch.zeros(16)
    logits[[4, 10, 15]] = 100.0
    added = restrictions(SamplingParams(bans=(1,), biases=((2, 5.0),)), Sparse(), 16)
    params = SamplingParams(top_p=1.0)
    found = {sample(logits + added, params, {}, uniform(1, position)) for position in range(2000)}
    assert found == set(range(10)) - {1, 4}
    assert sample(logits + added, SamplingParams(temperature=0), {}, 0.0) == 2


def test_banning_everything_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        restrictions(SamplingParams(bans=tuple(range(12))), Letters(), 12)
    with pytest.raises(InvalidRequest):
        restrictions(SamplingParams(biases=((1, math.nan),)), Letters(), 12)
    with pytest.raises(InvalidRequest):
        restrictions(SamplingParams(biases=((1, math.inf),)), Letters(), 12)


def test_bans_outside_the_vocabulary_are_ignored() -> None:
    assert (
        restrictions(SamplingParams(bans=(-1, 99), biases=((99, 1.0),)), Letters(), 12).tolist() == [0.0] * 12
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_broken_logits_are_an_error(bad: float) -> None:
    with pytest.raises(NotFinite):
        sample(torch.tensor([0.0, bad, 1.0]), SamplingParams(), {}, 0.5)


# ---------------------------------------------------------------------------------------------- one reply


def sampler(params: SamplingParams, start: SamplerState) -> Sampler:
    return Sampler(params, Letters(), torch.zeros(12), start)


def test_counts_decay_and_digits_count_nothing_but_appear() -> None:
    params = SamplingParams(penalty_decay=0.5)
    counts = dict(replay(params, Letters(), 0, (1, 1, 3, 4, 5, 8)).counts)
    assert counts == {1: 0.09375, 3: 0.0, 4: 0.0, 5: 0.5, 8: 1.0}


@pytest.mark.parametrize(
    ("token", "counted"), [(3, 0), (4, 0), (5, 1), (6, 0), (7, 0), (8, 1), (9, 0), (10, 1)]
)
def test_which_tokens_count(token: int, counted: int) -> None:
    assert dict(replay(SamplingParams(), Letters(), 0, (token,)).counts) == {token: counted}


def write(params: SamplingParams, start: SamplerState, count: int, logits: torch.Tensor) -> list[int]:
    one, tokens = sampler(params, start), []
    for _ in range(count):
        tokens.append(one.next(logits))
        one.note(tokens[-1])
    return tokens


def test_a_seed_gives_the_same_tokens_again_and_another_gives_others() -> None:
    logits = torch.randn(12, generator=torch.Generator().manual_seed(4))
    params = SamplingParams(top_p=0.95, frequency_penalty=0.5, presence_penalty=0.2)
    first = write(params, SamplerState(7), 60, logits)
    assert write(params, SamplerState(7), 60, logits) == first
    assert write(params, SamplerState(8), 60, logits) != first


def test_a_reply_taken_up_again_goes_on_as_if_never_cut() -> None:
    logits = torch.randn(12, generator=torch.Generator().manual_seed(5))
    params = SamplingParams(top_p=0.95, frequency_penalty=0.5, presence_penalty=0.2)
    whole = write(params, SamplerState(7), 60, logits)
    for cut in (1, 13, 59):
        resumed = replay(params, Letters(), 7, tuple(whole[:cut]))
        assert sampler(params, SamplerState(7)).state_after(whole[:cut]) == resumed
        assert whole[:cut] + write(params, resumed, 60 - cut, logits) == whole


def test_uniform_is_in_range_and_spread() -> None:
    found = [uniform(seed, position) for seed in range(40) for position in range(50)]
    assert all(0 <= each < 1 for each in found)
    assert abs(sum(found) / len(found) - 0.5) < 0.02
    assert len(set(found)) == len(found)


def test_top_tokens_are_the_models_own_view() -> None:
    found = top_tokens(torch.tensor([0.0] * 10 + [1.0, 2.0]), 2, Letters())
    assert [each.text for each in found] == ["c", "99"]
    assert found[0].logprob == pytest.approx(2.0 - math.log(10 + math.e + math.exp(2.0)))
