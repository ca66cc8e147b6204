"""The twelve recurrent-state bugs seen in other programs, each as a test."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load as from_bytes

from engine.models.state import relative_difference
from engine.prefix import extend
from engine.service import Engine
from engine.store.snapshot import layout_of, read, to_bytes
from engine.store.statestore import StateStore
from engine.tokenizer import load_tokenizer
from engine.types import Finished, GenerateRequest, LoadRequest, Piece, SamplingParams
from engine.weights import load as weights
from tests.engine.small import VOCABULARY, WORDS, ask, engine_on, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Literal

    from engine.models.rwkv7 import Rwkv7
    from engine.types import TokenIds

from tests.engine.talking import GREEDY, USER, asking, fed, saved_tensors, spell, turn

PENALISED = SamplingParams(
    top_p=0.9, presence_penalty=0.6, frequency_penalty=0.4, penalty_decay=0.9, max_tokens=40, seed=11
)
# every token is a word, and frequent ones become rare: replies full of "\n\n", "User", halves of stop texts
WORDY = SamplingParams(
    top_p=1.0,
    temperature=1.5,
    frequency_penalty=2.0,
    max_tokens=60,
    seed=1,
    biases=(*((257 + n, 40.0) for n in range(len(WORDS))), (59, 36.0)),
)


@pytest.fixture
def engine(model: LoadRequest, tmp_path: Path) -> Iterator[Engine]:
    with engine_on(tmp_path, model) as engine:
        yield engine


def on_fresh_engine(model: LoadRequest, folder: Path, request: GenerateRequest) -> Finished:
    """The truth: an engine that has never seen anything feeds all tokens."""
    with engine_on(folder / "fresh", model) as engine:
        return ask(engine, request).finished


# ------------------------------------------------------------------------------------------------ the bugs


def test_bug_01_regenerate_rewinds_and_does_not_continue(engine: Engine) -> None:
    sampled = replace(GREEDY, temperature=1.0, top_p=1.0, seed=3)
    first = ask(engine, asking(turn(0), params=sampled))
    for _ in range(3):
        again = ask(engine, asking((), turn(0), sampled))
        assert again.finished.tokens == first.finished.tokens
        assert again.finished.usage.history_tokens == 0
        assert fed(again.events) == 1
    other = ask(engine, asking((), turn(0), replace(sampled, seed=4))).finished
    assert other.tokens != first.finished.tokens


def test_bug_02_a_new_chat_remembers_nothing(engine: Engine, model: LoadRequest, tmp_path: Path) -> None:
    for n in range(3):
        ask(engine, asking(turn(n)))
    new = ask(engine, asking((0, *spell("Who am I?")))).finished
    assert new.usage.source == "fresh"
    assert new.tokens == on_fresh_engine(model, tmp_path, asking((0, *spell("Who am I?")))).tokens


def test_bug_03_no_reply_changes_the_state_that_another_starts_from(engine: Engine, tmp_path: Path) -> None:
    first = ask(engine, asking(turn(0))).finished
    history = turn(0) + first.tokens
    before = saved_tensors(tmp_path, first.prefix)
    left = ask(engine, asking(turn(1), history)).finished
    right = ask(engine, asking(turn(2), history)).finished
    assert ask(engine, asking(turn(1), history)).finished.tokens == left.tokens
    assert ask(engine, asking(turn(2), history)).finished.tokens == right.tokens
    assert left.tokens != right.tokens
    for name, x in saved_tensors(tmp_path, first.prefix).items():
        assert torch.equal(x, before[name])


@pytest.mark.parametrize("reopen", [False, True])
def test_bug_04_a_prompt_known_to_its_last_token_still_gives_a_reply(
    model: LoadRequest, tmp_path: Path, reopen: bool
) -> None:
    """Logits need a token to be fed: every saved state keeps at least one back."""
    with engine_on(tmp_path, model) as engine:
        first = ask(engine, asking(turn(0))).finished
        if not reopen:
            assert ask(engine, asking(turn(0))).finished.tokens == first.tokens
    with engine_on(tmp_path, model) as engine:
        for request in (asking(turn(0)), asking((), turn(0)), asking(turn(0)[-1:], turn(0)[:-1])):
            again = ask(engine, request)
            assert again.finished.tokens == first.tokens
            assert fed(again.events) == 1
        longer = ask(engine, asking((), turn(0) + first.tokens)).finished
        assert longer.usage.history_tokens == 0
        assert len(longer.tokens) == 20


def test_bug_05_a_state_serves_only_the_chain_it_was_made_for(
    engine: Engine, model: LoadRequest, tmp_path: Path
) -> None:
    first = ask(engine, asking(turn(0))).finished
    chain = turn(0) + first.tokens
    changed = (*chain[:10], chain[10] % 200 + 1, *chain[11:])
    for number, history in enumerate((chain[:-3], chain[:7], changed, chain[1:], (*chain, 5))):
        found = ask(engine, asking(turn(1), history)).finished
        truth = on_fresh_engine(model, tmp_path / str(number), asking(turn(1), history))
        assert found.tokens == truth.tokens
        assert found.usage.source == ("device" if history == chain else "rebuilt")


def test_bug_05_a_file_whose_content_belongs_elsewhere_is_not_used(
    model: LoadRequest, tmp_path: Path
) -> None:
    """A state saved under a key with pending tokens or a length that the chain contradicts."""
    with engine_on(tmp_path, model) as engine:
        first = ask(engine, asking(turn(0))).finished
    assert first.key is not None
    path = StateStore(tmp_path / "states").path(first.key)
    zero = weights_of(model).zero_state(1)
    good = read(path, first.key, layout_of(zero), zero.arch)
    for n, bad in enumerate((replace(good, pending=(1,)), replace(good, length=good.length - 1)), 1):
        path.write_bytes(to_bytes(bad))
        with engine_on(tmp_path, model) as engine:
            found = ask(engine, asking(turn(n), turn(0) + first.tokens)).finished
        assert found.usage.source == "rebuilt"
        assert not path.exists()


def test_bug_06_after_a_stop_text_the_state_is_that_of_the_accepted_tokens(
    model: LoadRequest, tmp_path: Path
) -> None:
    """Rolled back past tokens that were already fed: the saved state equals one rebuilt from the chain."""
    rolled_back = 0
    with engine_on(tmp_path, model) as engine:
        tokenizer, rwkv = load_tokenizer(model.tokenizer), weights_of(model)
        for seed in range(25):
            found = ask(engine, asking(turn(0), params=replace(WORDY, seed=seed), stop=USER)).finished
            assert "\n\nUser:" not in found.text
            assert tokenizer.decode_bytes(found.tokens).decode(errors="replace") == found.text
            assert_rebuilt_alike(rwkv, tmp_path, turn(0) + found.tokens)
            rolled_back += found.reason == "stop"
    assert rolled_back >= 5


def assert_rebuilt_alike(rwkv: Rwkv7, folder: Path, chain: TokenIds) -> None:
    """The state saved for `chain` equals what the model gives for the tokens that the state has consumed."""
    (path,) = (folder / "states").glob(f"{extend(chain)[:32]}-*.safetensors")
    with safe_open(path, "pt") as file:
        pending = json.loads(file.metadata()["pending"])
    assert pending
    assert chain[len(chain) - len(pending) :] == tuple(pending)
    with torch.inference_mode():
        _, truth = rwkv.forward(torch.tensor([chain[: len(chain) - len(pending)]]), rwkv.zero_state(1))
    for name, x in from_bytes(path.read_bytes()).items():
        assert relative_difference(x, truth.tensors[name]) < 1e-5


def weights_of(model: LoadRequest) -> Rwkv7:
    """The model itself, without an engine."""
    loading = weights.load(model.path, device="cpu", dtype="fp32")
    while True:
        try:
            next(loading)
        except StopIteration as end:
            return end.value


def test_bug_07_a_restored_state_is_really_used(model: LoadRequest, tmp_path: Path) -> None:
    """Not only said to be: the model sees the pending token and the new ones, nothing else."""
    history = turn(0)
    with engine_on(tmp_path, model) as engine:
        history += ask(engine, asking(turn(0))).finished.tokens
    with engine_on(tmp_path, model) as engine, counting() as counted:
        found = ask(engine, asking(turn(1), history))
    usage = found.finished.usage
    assert (usage.source, usage.history_tokens, usage.prompt_tokens) == ("disk", 0, len(turn(1)))
    assert fed(found.events) == 1 + len(turn(1))
    assert counted[0] == 1 + len(turn(1)) + len(found.finished.tokens) - 1


class counting:  # noqa: N801  used as a with statement's noun
    """Counts the tokens that any RWKV-7 is fed."""

    def __enter__(self) -> list[int]:
        from engine.models.rwkv7 import Rwkv7

        counted = [0]
        self._patch = pytest.MonkeyPatch()
        real_forward, real_step = Rwkv7.forward, Rwkv7.step
        inside: list[bool] = []

        def count(real, self, tokens, *rest, **options):
            if not inside:
                counted[0] += tokens.numel()
            inside.append(True)
            try:
                return real(self, tokens, *rest, **options)
            finally:
                inside.pop()

        self._patch.setattr(Rwkv7, "forward", lambda self, *a, **o: count(real_forward, self, *a, **o))
        self._patch.setattr(Rwkv7, "step", lambda self, *a, **o: count(real_step, self, *a, **o))
        return counted

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def test_bug_08_a_turn_feeds_the_new_tokens_only(engine: Engine) -> None:
    history: TokenIds = ()
    for n in range(8):
        with counting() as counted:
            found = ask(engine, asking(turn(n), history))
        end = found.finished
        assert counted[0] <= len(turn(n)) + 1 + len(end.tokens)
        assert (end.usage.history_tokens, end.usage.source) == (0, "device" if n else "fresh")
        history += turn(n) + end.tokens


@pytest.mark.parametrize("worker", ["thread", "process"])
def test_bug_09_many_generations_one_after_the_other(
    model: LoadRequest, tmp_path: Path, worker: Literal["thread", "process"]
) -> None:
    with engine_on(tmp_path, model, worker) as engine:
        replies = {ask(engine, asking(turn(0))).finished.tokens for _ in range(20)}
        load(engine, model)
        replies |= {ask(engine, asking(turn(0))).finished.tokens for _ in range(2)}
    assert len(replies) == 1


@pytest.mark.parametrize("way", ["device", "disk", "rebuilt"])
def test_bug_10_penalties_go_on_where_the_reply_was_cut(model: LoadRequest, tmp_path: Path, way: str) -> None:
    with engine_on(tmp_path / "whole", model) as engine:
        whole = ask(engine, asking(turn(0), params=PENALISED)).finished.tokens
    assert len(set(whole)) > 10
    folder = tmp_path / "cut"
    engine = Engine(folder / "states", threads=1)
    load(engine, model)
    reply: TokenIds = ()
    for upto in (1, 9, 23, 40):
        params = replace(PENALISED, max_tokens=upto - len(reply))
        chain = turn(0) + reply
        request = asking((), chain, params, continues=len(reply)) if reply else asking(turn(0), params=params)
        found = ask(engine, request).finished
        assert not reply or found.usage.source == way
        reply += found.tokens
        if way != "device":
            engine.close()
            if way == "rebuilt":
                shutil.rmtree(folder / "states")
            engine = Engine(folder / "states", threads=1)
            load(engine, model)
    engine.close()
    assert reply == whole


def test_bug_11_what_is_not_in_the_transcript_is_not_in_the_state(model: LoadRequest, tmp_path: Path) -> None:
    """Whether a reply ends at a stop text or by cancel: the next turn is that of the accepted tokens."""
    reasons: set[str] = set()
    for seed in range(6):
        with engine_on(tmp_path / f"a{seed}", model) as engine:
            job = engine.submit(asking(turn(0), params=replace(WORDY, seed=seed), stop=USER))
            events = []
            for event in job:
                events.append(event)
                if seed % 2 and len(events) == 9:
                    job.cancel()
            end = events[-1]
            assert isinstance(end, Finished)
            assert end.text == "".join(event.text for event in events if isinstance(event, Piece))
            reasons.add(end.reason)
            request = asking(turn(1), turn(0) + end.tokens)
            found = ask(engine, request).finished
        assert found.usage.source == "device"
        assert found.tokens == on_fresh_engine(model, tmp_path / f"b{seed}", request).tokens
    assert {"stop", "cancelled"} <= reasons


def test_bug_12_no_character_is_cut_at_any_edge(model: LoadRequest, engine: Engine) -> None:
    """Tokens end inside characters, prefill chunks too; every piece is whole characters, none missing."""
    you = spell("你😀é")
    prompt = (0, *(you * 60))  # 9 bytes each: chunks of 256 tokens end inside characters
    assert forced(engine, prompt, you * 8) == ["你", "😀", "é"] * 8
    free = ask(engine, asking((0,), params=SamplingParams(top_p=1.0, max_tokens=500, seed=2)))
    data = load_tokenizer(model.tokenizer).decode_bytes(free.finished.tokens)
    assert free.pieces == free.finished.text == data.decode(errors="replace")


def test_bug_13_a_stop_text_is_found_across_every_cut(engine: Engine) -> None:
    """Cut after each of its tokens and taken up again, a reply ends where it would have ended."""
    prompt, script = turn(0), spell("Hi\n\nUser:")
    for at, token in enumerate(script):
        bans = tuple(set(range(VOCABULARY)) - {token})
        params = SamplingParams(temperature=0, max_tokens=1, bans=bans)
        asked = (
            asking((), prompt + script[:at], params, continues=at) if at else asking(prompt, params=params)
        )
        found = ask(engine, replace(asked, stop=USER)).finished
        last = at == len(script) - 1
        assert (found.reason, found.tokens) == (("stop", ()) if last else ("length", (token,))), at


def forced(engine: Engine, prompt: TokenIds, script: TokenIds) -> list[str]:
    """The texts of a reply made of exactly the tokens of `script`, cut after each and taken up again."""
    pieces: list[str] = []
    for at, token in enumerate(script):
        bans = tuple(set(range(VOCABULARY)) - {token})
        params = SamplingParams(temperature=0, max_tokens=1, bans=bans)
        chain = prompt + script[:at]
        request = asking((), chain, params, continues=at) if at else asking(prompt, params=params)
        found = ask(engine, request).finished
        assert found.tokens == (token,)
        pieces.append(found.text)
    return [text for text in pieces if text != "\ufffd"]  # shown where a reply ends inside a character
