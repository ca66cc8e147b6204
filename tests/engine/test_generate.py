"""Generation on a scripted model: what is shown, what joins the chain, and what the state has consumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.generate import RING, Fed, Mark, RowEnd, Start, generate
from engine.sampling import SamplerState
from engine.tokenizer import load_tokenizer
from engine.types import GenerateRequest, Piece, Resampled, SamplingParams, StopRule
from tests.engine import small
from tests.engine.scripted import ScriptedModel, consumed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.tokenizer import Tokenizer
    from engine.types import Resampled, TokenIds

PROMPT = (0, 73, 74)
USER = StopRule(ids=(0,), texts=("\n\nUser:",))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(small.write_tokenizer(tmp_path_factory.mktemp("t") / "tokenizer.json"))


def spell(*words: str | int | bytes) -> TokenIds:
    """Token ids: a word of `small.WORDS` is one token, anything else its bytes; numbers are ids."""
    ids: list[int] = []
    for word in words:
        if isinstance(word, int):
            ids.append(word)
        elif word in small.WORDS:
            ids.append(257 + small.WORDS.index(str(word)))
        else:
            ids += [byte + 1 for byte in (word.encode() if isinstance(word, str) else word)]
    return tuple(ids)


class Run:
    """One scripted reply and everything it gave."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        script: TokenIds,
        stop: StopRule = USER,
        *,
        max_tokens: int = 100,
        stop_after: int | None = None,
        carry: bytes = b"",
        chunk: int = 256,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        """`stop_after`: cancel once that many tokens have been drawn."""
        self.model = ScriptedModel(
            lambda seen: (*script, 0)[max(0, len(seen) - len(PROMPT))], small.VOCABULARY
        )
        params = SamplingParams(temperature=0, max_tokens=max_tokens)
        request = GenerateRequest(PROMPT, params=params, stop=stop)
        start = Start(self.model.zero_state(), PROMPT, (SamplerState(),), carry, chunk)

        def drawn_enough() -> bool:
            return stop_after is not None and sum(self.model.fed) >= len(PROMPT) + stop_after

        self.events = list(generate(self.model, tokenizer, request, start, should_stop or drawn_enough))
        self.pieces = [event for event in self.events if isinstance(event, Piece)]
        (self.end,) = (event for event in self.events if isinstance(event, RowEnd))
        self.check()

    def check(self) -> None:
        """What holds for every reply."""
        end = self.end
        assert end.text == "".join(piece.text for piece in self.pieces)
        told = tuple(token for piece in self.pieces for token in piece.tokens)
        assert told == end.tokens[: len(told)]
        if end.state is not None:
            assert end.pending
            assert consumed(end.state) + end.pending == PROMPT + end.tokens
        assert end.sampler.position == len(end.tokens)

    @property
    def texts(self) -> list[str]:
        return [piece.text for piece in self.pieces]


def test_a_stop_id_ends_the_reply_and_is_no_part_of_it(tokenizer: Tokenizer) -> None:
    run = Run(tokenizer, spell("the", " cat"))
    assert (run.end.reason, run.end.tokens, run.end.text) == ("stop", spell("the", " cat"), "the cat")
    assert run.end.pending == spell(" cat")


def test_an_empty_reply_leaves_the_prompts_own_state(tokenizer: Tokenizer) -> None:
    run = Run(tokenizer, ())
    assert (run.end.tokens, run.end.text, run.end.pending) == ((), "", PROMPT[-1:])


def test_a_stop_text_of_several_tokens_is_never_shown_nor_kept(tokenizer: Tokenizer) -> None:
    run = Run(tokenizer, spell("the", "\n\n", "User", ":", " cat"))
    assert (run.end.reason, run.end.tokens, run.end.text) == ("stop", spell("the"), "the")
    assert consumed(run.end.state or run.model.zero_state()) == PROMPT


def test_held_back_text_that_turns_out_otherwise_is_shown(tokenizer: Tokenizer) -> None:
    run = Run(tokenizer, spell("the", "\n\n", "User", " cat"))
    assert run.end.tokens == spell("the", "\n\n", "User", " cat")
    assert run.texts == ["the", "\n\nUser cat"]
    assert run.pieces[1].tokens == spell("\n\n", "User", " cat")


def test_a_stop_text_that_begins_inside_a_token(tokenizer: Tokenizer) -> None:
    """ "so" was shown: its own tokens replace the token that went on with a part of the stop text."""
    run = Run(tokenizer, spell("the", "so\n\nUs", "er:"))
    assert (run.end.text, run.end.tokens) == ("theso", spell("the", "s", "o"))
    assert run.end.pending == spell("s", "o")
    assert run.texts == ["the", "so"]


def test_a_stop_text_inside_a_token_that_begins_inside_a_character(tokenizer: Tokenizer) -> None:
    you = "你".encode()
    run = Run(tokenizer, spell(you[:2], you[2:] + b"\n", b"\nUser:"))
    assert (run.end.text, run.end.tokens) == ("你", spell(you))


def test_a_long_stop_text_needs_no_more_than_the_ring(tokenizer: Tokenizer) -> None:
    """Sixteen tokens are held back; the oldest state of the ring still fits, with more tokens pending."""
    text = "0123456789abcdef"
    run = Run(tokenizer, spell("the", " cat", text), StopRule(texts=(text,)))
    assert run.end.tokens == spell("the", " cat")
    assert len(text) > RING
    run = Run(tokenizer, spell("the", " cat", text[:-1], "!"), StopRule(texts=(text,)))
    assert run.end.text == "the cat" + text[:-1] + "!"


def test_nothing_is_fed_twice(tokenizer: Tokenizer) -> None:
    script = spell("the", "so\n\nUs", "er:")
    run = Run(tokenizer, script)
    assert sum(run.model.fed) == len(PROMPT) + len(script) - 1


def test_max_tokens_keeps_what_was_drawn(tokenizer: Tokenizer) -> None:
    run = Run(tokenizer, spell("the", " cat", "\n\n", " sat"), max_tokens=3)
    assert (run.end.reason, run.end.text) == ("length", "the cat\n\n")
    assert run.end.tokens == spell("the", " cat", "\n\n")
    assert len(run.end.pending) == 1


def test_a_reply_cut_inside_a_character_can_go_on(tokenizer: Tokenizer) -> None:
    you = "你".encode()
    first = Run(tokenizer, spell("the", you), max_tokens=2)
    assert (first.end.text, first.end.carry) == ("the\ufffd", you[:1])
    assert Run(tokenizer, spell(you[1:], " cat"), carry=you[:1]).texts == ["你", " cat"]


def test_a_cancel_keeps_exactly_what_was_shown(tokenizer: Tokenizer) -> None:
    script = spell("the", " cat", "\n\n", "User", ":")
    for drawn, text in enumerate(("", "the", "the cat", "the cat", "the cat")):
        run = Run(tokenizer, script, stop_after=drawn)
        assert (run.end.reason, run.end.text) == ("cancelled", text)
        assert tokenizer.decode_bytes(run.end.tokens).decode() == text


def test_a_cancel_inside_a_character_gives_up_its_beginning(tokenizer: Tokenizer) -> None:
    run = Run(tokenizer, spell("the", "你".encode()), stop_after=3)
    assert (run.end.text, run.end.tokens, run.end.carry) == ("the", spell("the"), b"")
    run = Run(tokenizer, spell("你".encode()[1:2]), stop_after=1, carry="你".encode()[:1])
    assert (run.end.text, run.end.tokens, run.end.carry) == ("", (), "你".encode()[:1])


def test_a_cancel_inside_a_token_keeps_the_shown_part(tokenizer: Tokenizer) -> None:
    run = Run(tokenizer, spell("the", "so\n\nUs", " cat"), stop_after=2)
    assert (run.end.text, run.end.tokens) == ("theso", spell("the", "s", "o"))


def test_a_cancel_is_seen_before_every_chunk(tokenizer: Tokenizer) -> None:
    asked = 0

    def second_time() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1

    run = Run(tokenizer, spell("the"), chunk=1, should_stop=second_time)
    assert (run.end.reason, run.end.state, run.pieces) == ("cancelled", None, [])
    assert run.model.fed == [1]


def test_prefill_reports_each_chunk_and_stops_before_the_last_token(tokenizer: Tokenizer) -> None:
    fed = [event for event in Run(tokenizer, (), chunk=1).events if isinstance(event, Fed)]
    assert [event.done for event in fed[:-1]] == [0, 1, 2]
    assert [len(consumed(event.state)) for event in fed if event.state] == [0, 1, 2]
    assert fed[-1].state is None


def test_a_special_token_in_the_middle_shows_nothing(tokenizer: Tokenizer) -> None:
    run = Run(tokenizer, spell("the", 0, " cat"), StopRule(ids=()), max_tokens=3)
    assert (run.end.text, run.end.tokens) == ("the cat", spell("the", 0, " cat"))


def test_broken_bytes_show_a_replacement_and_stay_in_the_chain(tokenizer: Tokenizer) -> None:
    run = Run(tokenizer, spell("the", b"\xff\xe4", " cat"))
    assert run.texts == ["the", "\ufffd", "\ufffd cat"]
    assert run.end.tokens == spell("the", b"\xff\xe4", " cat")


# ------------------------------------------------------------------------------------------ alternatives


def test_alternatives_end_one_by_one_and_each_keeps_its_own_state(tokenizer: Tokenizer) -> None:
    """Row i draws i + 1 tokens: the seeds differ, so the scripted model sees different first tokens."""
    words = spell("the", " cat", " sat")
    model = ScriptedModel(
        lambda seen: 0 if len(seen) - len(PROMPT) > seen[3] % 3 else seen[3], small.VOCABULARY
    )
    first = model.say
    model.say = lambda seen: first(seen) if len(seen) > len(PROMPT) else words[0]
    params = SamplingParams(top_p=1.0, biases=tuple((word, 60.0) for word in words))
    request = GenerateRequest(PROMPT, params=params, n=6, stop=StopRule(ids=(0,)))
    samplers = tuple(SamplerState(seed) for seed in range(6))

    def events() -> Iterator[Fed | Piece | Resampled | Mark | RowEnd]:
        return generate(model, tokenizer, request, Start(model.zero_state(), PROMPT, samplers))

    ends = [event for event in events() if isinstance(event, RowEnd)]
    assert sorted(end.index for end in ends) == list(range(6))
    for end in ends:
        assert end.state is not None
        assert consumed(end.state) + end.pending == PROMPT + end.tokens
        told = "".join(e.text for e in events() if isinstance(e, Piece) and e.index == end.index)
        assert told == end.text
    assert len({end.tokens for end in ends}) > 1
