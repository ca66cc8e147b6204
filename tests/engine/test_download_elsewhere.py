"""Redirects, mirrors and addresses that lead nowhere: who is asked, and whose word counts."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine import errors
from engine.weights.download import Policy
from tests.engine.downloads import BODY, OTHER, QUICK, SIZE, asked, fetch, left, status
from tests.engine.hub import Fault, Hub, running

if TYPE_CHECKING:
    from pathlib import Path


def test_a_redirect_is_followed_and_the_word_kept(hub: Hub, other: Hub, tmp_path: Path) -> None:
    """As the real hub does it: it names size and hash, and sends the client elsewhere for the bytes."""
    hub.lfs = True
    url = hub.add("/model.pth", BODY)
    other.add("/blob", BODY, Fault(drop=500_000))
    hub.redirect = lambda path: other.url("/blob?signature=secret")
    other.files["/blob?signature=secret"] = BODY
    other.plan["/blob?signature=secret"] = [Fault(drop=500_000)]
    done = fetch(
        asked(tmp_path, url, size=None, sha256=None), replace(QUICK, trusted=frozenset({hub.netloc}))
    )
    assert done is not None
    assert done.source == "host"
    assert (hub.sent, other.sent) == (0, SIZE)


def test_an_address_that_has_expired_is_asked_for_again(hub: Hub, other: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY)
    hub.redirect = lambda path: other.url("/blob")
    other.add("/blob", BODY, Fault(drop=500_000), status(403))
    assert fetch(asked(tmp_path, url))
    assert (len(hub.log), other.sent) == (3, SIZE)


REDIRECTS: dict[str, str] = {
    "plain http elsewhere": "http://example.invalid/model.pth",
    "another scheme": "ftp://example.invalid/model.pth",
    "a file": "file:///etc/passwd",
    "a user in it": "https://user:password@example.invalid/model.pth",
    "no host": "https:///model.pth",
    "no port that is one": "https://example.invalid:port/model.pth",
    "no host that is one": "https://[::1/model.pth",
    "a host hidden behind a stroke": "https:\\\\example.invalid/model.pth",
}


@pytest.mark.parametrize("what", REDIRECTS)
def test_an_unsafe_redirect_is_refused(hub: Hub, tmp_path: Path, what: str) -> None:
    url = hub.add("/model.pth", BODY)
    hub.redirect = lambda path: REDIRECTS[what]
    with pytest.raises(errors.RedirectRefused) as caught:
        fetch(asked(tmp_path, url))
    assert "password" not in caught.value.target


def test_redirects_that_do_not_end_are_refused(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY)
    hub.redirect = lambda path: hub.url("/model.pth")
    with pytest.raises(errors.RedirectRefused):
        fetch(asked(tmp_path, url))
    assert len(hub.log) == 8


@pytest.mark.parametrize(
    "url", ["http://example.invalid/x", "ftp://localhost/x", "x", "https://a:b@example.invalid/"]
)
def test_an_unsafe_address_is_refused_before_anything_is_asked(tmp_path: Path, url: str) -> None:
    with pytest.raises(errors.RedirectRefused):
        fetch(asked(tmp_path, url))
    with pytest.raises(errors.RedirectRefused):
        fetch(asked(tmp_path, "https://example.invalid/", mirrors=(url,)))
    assert not (tmp_path / "models").exists()


def test_a_mirror_is_tried_where_the_first_has_it_no_more(hub: Hub, other: Hub, tmp_path: Path) -> None:
    hub.add("/model.pth", BODY, Fault(drop=400_000))
    request = asked(tmp_path, other.url("/gone.pth"), mirrors=(hub.url("/model.pth"),))
    done = fetch(request)
    assert done is not None
    assert done.source == "known"
    assert [each.status for each in other.log] == [404]


def test_where_nobody_has_it_the_first_error_is_told(hub: Hub, tmp_path: Path) -> None:
    request = asked(tmp_path, hub.url("/gone.pth"), mirrors=(hub.url("/gone.too"), dead()))
    with pytest.raises(errors.FileGone) as caught:
        fetch(request)
    assert caught.value.url == hub.url("/gone.pth")


def test_a_mirror_goes_on_with_the_part_of_another(hub: Hub, other: Hub, tmp_path: Path) -> None:
    """With a known SHA-256 it does not matter where the bytes come from."""
    url = hub.add("/model.pth", BODY, Fault(drop=700_000), *[status(404)] * 9)
    request = asked(tmp_path, url, mirrors=(other.add("/model.pth", BODY),))
    assert fetch(request)
    assert hub.sent + other.sent == SIZE


def test_a_mirrors_own_word_is_not_the_hubs(hub: Hub, other: Hub, tmp_path: Path) -> None:
    """Only what the hub itself says makes a hash verified; a mirror that lies about it is found out."""
    mirror, official = other, hub
    trusting = replace(QUICK, trusted=frozenset({official.netloc}))
    mirror.lfs = official.lfs = True
    url = mirror.add("/model.pth", BODY)
    request = asked(tmp_path, url, size=None, sha256=None, token="hf_of_the_mirror")  # noqa: S106
    alone = fetch(request, trusting)
    assert alone is not None
    assert alone.source == "mirror"

    told = replace(request, path=request.path + "2", mirrors=(official.add("/model.pth", BODY),))
    asked_too = fetch(told, trusting)
    assert asked_too is not None
    assert asked_too.source == "host"
    assert ([each.method for each in official.log], official.sent) == (["HEAD"], 0)
    assert official.log[0].headers.keys() <= {"Host", "Connection", "User-Agent", "Accept", "Accept-Encoding"}

    mirror.add("/model.pth", OTHER)
    lied = fetch(replace(told, path=request.path + "3"), trusting)
    assert lied is not None
    assert (tmp_path / "models" / "model.pth3").read_bytes() == BODY  # from the hub: the mirror was refused


# ------------------------------------------------------------------------------------------------ no way


def dead() -> str:
    """An address where nobody listens."""
    gone = Hub()
    gone.server_close()
    return gone.url("/model.pth")


def test_offline_is_told_at_once(tmp_path: Path) -> None:
    long = f"{'a' * 70}.invalid"  # no name may be so long
    for url, host in (
        (dead(), "127.0.0.1"),
        ("https://no-such-host.invalid/model.pth", "no-such-host.invalid"),
        (f"https://{long}/model.pth", long),
    ):
        begun = time.monotonic()
        with pytest.raises(errors.Offline) as caught:
            fetch(asked(tmp_path, url), Policy())
        assert caught.value.host == host
        assert time.monotonic() - begun < 20
        assert left(tmp_path) == set()


def test_a_network_that_goes_away_in_the_midst_is_waited_for(hub: Hub, tmp_path: Path) -> None:
    url = hub.add("/model.pth", BODY, Fault(drop=500_000, before=hub.server_close))
    with pytest.raises(errors.DownloadFailed) as caught:
        fetch(asked(tmp_path, url))
    assert (caught.value.hint, caught.value.done) == ("dropped", 500_000)


def test_a_certificate_that_nobody_trusts_is_refused(tmp_path: Path, certificate: Path) -> None:
    with running(Hub("localhost", certificate)) as secure:
        with pytest.raises(errors.DownloadFailed) as caught:
            fetch(asked(tmp_path, secure.add("/model.pth", BODY)))
        assert caught.value.hint == "insecure"
        assert secure.log == []


def test_https_does_not_lead_to_plain_http_even_here(
    hub: Hub, tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with running(Hub("localhost", certificate)) as secure:
        request = asked(tmp_path, secure.add("/model.pth", BODY, Fault(drop=500_000)))
        assert fetch(request)
        assert secure.sent == SIZE
        secure.redirect = lambda path: hub.url("/model.pth")
        with pytest.raises(errors.RedirectRefused):
            fetch(replace(request, path=request.path + "2"))
    assert hub.log == []
