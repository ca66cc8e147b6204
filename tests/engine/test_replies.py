"""What servers' answers are taken to mean, and which addresses are asked at all."""

from __future__ import annotations

from email.utils import formatdate
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RedirectRefused
from engine.weights.replies import Again, Span, retry_after, span_of, whole_length
from engine.weights.web import Answer, Word, check_address, number, without_query, word_of


def answer(status: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, Word("here"), False, "", iter(()))


@pytest.mark.parametrize(
    ("said", "span"),
    [
        (answer(200, content_length="10"), Span(0, 10, True)),
        (answer(200, transfer_encoding="chunked"), Span(0, 0, True)),
        (answer(200), Span(0, 0, False)),
        (answer(206, content_range="bytes 3-9/10", content_length="7"), Span(3, 10, True)),
        (answer(206, content_range="bytes 3-9/10"), Span(3, 10, True)),
        (answer(206, content_range="bytes 0-9/*"), Span(0, 0, False)),
    ],
)
def test_which_bytes_an_answer_brings(said: Answer, span: Span) -> None:
    assert span_of(said) == span


@pytest.mark.parametrize(
    "range_",
    [
        "",
        "bytes",
        "bytes 3-9",
        "bytes 9-3/10",
        "bytes 3-10/10",
        "bytes -9/10",
        "items 3-9/10",
        "bytes ３-9/10",
    ],
)
def test_a_range_that_makes_no_sense_is_an_attempt_that_failed(range_: str) -> None:
    with pytest.raises(Again):
        span_of(answer(206, content_range=range_))
    with pytest.raises(Again):
        span_of(answer(206, content_range="bytes 3-9/10", content_length="8"))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), (" 17 ", 17.0), ("", None), ("soon", None), ("-3", None), ("1e3", None), ("9" * 30, None)],
)
def test_how_long_a_server_asks_to_wait(header: str, seconds: float | None) -> None:
    assert retry_after(header) == seconds


def test_a_server_may_name_a_moment() -> None:
    waiting = retry_after(formatdate(time() + 100, usegmt=True))
    assert waiting is not None
    assert 95 < waiting <= 100
    assert retry_after(formatdate(time() - 100, usegmt=True)) == 0


@given(st.text())
def test_no_header_breaks_it(text: str) -> None:
    retry_after(text)
    number(text)
    assert word_of("here", {"x-linked-etag": text, "x-linked-size": text}).host == "here"
    whole_length(answer(416, content_range=text))
    try:
        span_of(answer(206, content_range=text))
    except Again:
        return


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({}, Word("here")),
        ({"x-linked-etag": f'"{"a" * 64}"', "x-linked-size": "7"}, Word("here", 7, "a" * 64)),
        ({"x-linked-etag": f'"{"a" * 40}"'}, Word("here")),  # of a small file: no SHA-256
        ({"x-linked-etag": f'W/"{"a" * 64}"'}, Word("here")),
    ],
)
def test_what_the_hub_says_of_a_file(headers: dict[str, str], word: Word) -> None:
    assert word_of("here", headers) == word


GOOD = (
    "https://a.example/x",
    "HTTPS://a.example:444/",
    "http://localhost:1/x",
    "http://127.0.0.1/",
    "http://[::1]:9/",
)
BAD = (
    "",
    "x",
    "//a.example/x",
    "http://a.example/x",
    "http://localhost.a.example/",
    "http://127.0.0.2.example/",
    "http://0.0.0.0/",
    "https://user@a.example/",
    "http://user:word@localhost/",
    "ftp://localhost/",
    "javascript:alert(1)",
    "https://[a.example/",
    "https://",
)


@pytest.mark.parametrize("url", GOOD)
def test_addresses_that_may_be_asked(url: str) -> None:
    assert check_address(url, url).hostname


@pytest.mark.parametrize("url", BAD)
def test_addresses_that_are_not_asked(url: str) -> None:
    with pytest.raises(RedirectRefused):
        check_address(url, url)


def test_https_does_not_lead_to_plain_http() -> None:
    secure, plain = check_address("https://localhost/", ""), check_address("http://localhost/", "")
    assert check_address("http://127.0.0.1/", "", plain)
    with pytest.raises(RedirectRefused):
        check_address("http://127.0.0.1/", "", secure)


@given(st.text())
def test_no_address_breaks_it(text: str) -> None:
    try:
        check_address(text, text)
    except RedirectRefused as error:
        assert "?" not in error.target or error.target == "?"  # noqa: PT017  either outcome is right


def test_an_address_in_an_error_holds_no_secret() -> None:
    assert without_query("https://me:word@a.example/x?signature=1#y") == "https://a.example/x"
    assert without_query("https://[") == "?"
