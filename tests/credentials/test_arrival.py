"""What comes with a request is read once, and the short cut of a hit reads the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from coatcheck import Identity, Mode
from coatcheck.adapters import asgi, wsgi
from coatcheck.credentials.arrival import Arrival, arrival_of_asgi, arrival_of_wsgi
from coatcheck.credentials.cookies import DEVELOPMENT, SECURE
from coatcheck.credentials.elsewhere import Doubt
from coatcheck.credentials.transport import Credential
from coatcheck.errors import MalformedCredential

Headers = tuple[tuple[str, str], ...]

SESSION, ACCESS, PLAIN = "__Host-coatcheck=ccs_1", "__Host-coatcheck-access=ey.J.x", "coatcheck=ccs_1"
PORT = "coatcheck-5000=ccs_1"
PLACES = (
    ("https", "app.example"), ("https", "localhost"), ("http", "app.example"), ("http", "localhost:8000"),
    ("http", "a.b.localhost"), ("http", "[::1]"), ("http", ""),
    ("http", "localhost:5000"),
)  # fmt: skip
CREDENTIALS: tuple[Headers, ...] = (
    (),
    (("Authorization", "Bearer ey.J.x"),),
    (("Authorization", "bearer ey.J.x"),),
    (("Authorization", "Bearer"),),
    (("Authorization", SESSION),),
    (("Authorization", "Basic YTpi"),),
    (("Authorization", "Basic YTpi"), ("Authorization", "Bearer ey.J.x")),
    (("Authorization", "Bearer ey.J.x"), ("Authorization", "Bearer ey.J.x")),
)
COOKIES: tuple[Headers, ...] = (
    (),
    (("Cookie", SESSION),),
    (("Cookie", ACCESS),),
    (("Cookie", PLAIN),),
    (("Cookie", f"a=b; {PORT}"),),
    (("Cookie", f"{PLAIN}; {PORT}"),),
    (("Cookie", f"coatcheck-access=ccs_x; {PORT}; coatcheck=ccs_x"),),
    (("Cookie", f"{PLAIN}; coatcheck-5000=ccs_x"),),
    (("Cookie", f"{PLAIN}; coatcheck-refresh-5000=ccr_x"),),
    (("Cookie", f"a=b; {SESSION}; c=d"),),
    (("Cookie", f"{SESSION}; {ACCESS}"),),
    (("Cookie", f"{SESSION}; {SESSION}"),),
    (("Cookie", f"a=b {SESSION}"),),
    (("Cookie", "Bearer ey.J.x"),),
)
AROUND: tuple[Headers, ...] = (
    (),
    (("Origin", "https://app.example"),),
    (("X-Forwarded-Proto", "https"),),
    (("X-Forwarded-For", "203.0.113.7"),),
    (("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "localhost:3000")),
    (("Sec-Fetch-Site", "same-origin"),),
    (("Origin", "https://app.example"), ("Sec-Fetch-Site", "same-origin")),
)
SAME = (("Sec-Fetch-Site", "same-origin"),)


def scope_of(scheme: str, host: str, headers: Headers, method: str = "GET") -> dict[str, Any]:
    sent = [(b"host", host.encode()), *((name.lower().encode(), value.encode()) for name, value in headers)]
    return {"type": "http", "method": method, "scheme": scheme, "headers": sent, "client": ("127.0.0.1", 1)}


def environ_of(scheme: str, host: str, headers: Headers, method: str = "GET") -> dict[str, Any]:
    """As a server of WSGI has the same: repeated headers joined with a comma, but cookies."""
    found = {"REQUEST_METHOD": method, "wsgi.url_scheme": scheme, "HTTP_HOST": host, "REMOTE_ADDR": "127.0.0.1"}
    for name, value in headers:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        found[key] = f"{found[key]},{value}" if key in found else value
    return found


def cases() -> Iterator[tuple[str, str, Headers]]:
    for (scheme, host), said, cookies, around in itertools.product(PLACES, CREDENTIALS, COOKIES, AROUND):
        yield scheme, host, (*said, *cookies, *around)


MODES = {
    "Bearer ": Mode.JWT, "__Host-coatcheck=": Mode.SESSION, "coatcheck=": Mode.SESSION, "coatcheck-5000=": Mode.SESSION
}  # fmt: skip


def known(key: bytes) -> Identity | None:
    """A table that knows every genuine credential of the cases, by what carried it."""
    text = key.decode("latin-1")
    for begins, mode in (*MODES.items(), ("__Host-coatcheck-access=", Mode.JWT_COOKIE)):
        if text in (f"{begins}ccs_1", f"{begins}ey.J.x"):
            return Identity(
                subject="ann", session_id=text, mode=mode, roles=frozenset(), claims={}, amr=(), auth_time=0, expires=0
            )
    return None


def test_cookies_of_another_port() -> None:
    """At a port of its own those of 8000 count where none of its own came, and a login overwrites none of them."""
    own, twice, other = "coatcheck-5000=ccs_2", f"{PLAIN}; {PLAIN}", "coatcheck-9000=ccs_3"
    for sent, token, lent in (
        ((PLAIN, other), "ccs_1", True), ((PLAIN, own), "ccs_2", False), ((own, other), "ccs_2", False),
        ((other,), None, False), ((), None, False), ((twice,), None, True),
        ((PLAIN, "coatcheck-refresh-5000=x"), None, False),
    ):  # fmt: skip
        arrival = arrival_of_asgi(scope_of("http", "localhost:5000", (("Cookie", "; ".join(sent)),)))
        found = arrival.presented
        assert (found.token if isinstance(found, Credential) else None) == token, sent
        assert (arrival.is_lent, arrival.renewable is DEVELOPMENT) == (lent, arrival.names is not arrival.counting)
        assert [held.token for held in arrival.overwritten()] == (["ccs_2"] if own in sent else []), sent
        readable = {"ccs_1": PLAIN, "ccs_2": own}
        assert {held.token for held in arrival.held()} == {
            token for token, text in readable.items() if any(text in each for each in sent)
        }
        assert arrival.settable is not DEVELOPMENT


def by_arrival(arrival: Arrival) -> Identity | None:
    try:
        credential = arrival.credential
    except MalformedCredential:
        return None
    return None if credential is None else known(credential.key)


def test_the_short_cut_reads_as_the_arrival_does() -> None:
    """Whoever the short cut of a hit knows is who the arrival says, in every case; and it knows all who came by the
    common ways."""
    hits = 0
    for scheme, host, headers in cases():
        expected = by_arrival(arrival_of_asgi(scope_of(scheme, host, headers)))
        plain = not any(name == "Authorization" for name, _ in headers)
        for found in (
            asgi.recognise(known, scope_of(scheme, host, headers)),
            wsgi.recognise(known, environ_of(scheme, host, headers), scheme, host),
        ):
            if found is None:
                assert expected is None or not plain, (scheme, host, headers)
            else:
                assert found == expected, (scheme, host, headers)
                hits += 1
    assert hits > 500


def test_a_bearer_token_is_a_hit() -> None:
    """The common spelling of a bearer token is on the short cut, whatever else came with it."""
    for cookies, around in itertools.product(COOKIES, AROUND):
        headers = (("Authorization", "Bearer ey.J.x"), *cookies, *around)
        for scheme, host in PLACES:
            assert asgi.recognise(known, scope_of(scheme, host, headers)) is not None
            assert wsgi.recognise(known, environ_of(scheme, host, headers), scheme, host) is not None


def test_both_constructors_read_alike() -> None:
    """ASGI and WSGI say the same of the same request; two schemes that servers of WSGI have joined are the first."""
    for method, (scheme, host, headers) in itertools.product(("GET", "POST"), cases()):
        if headers[:1] == (("Authorization", "Basic YTpi"),) and "Authorization" in dict(headers[1:]):
            continue
        asked = arrival_of_asgi(scope_of(scheme, host, headers, method))
        assert arrival_of_wsgi(environ_of(scheme, host, headers, method)) == asked or asked.by_bearer
        if asked.by_bearer:  # the reason may be another
            other = arrival_of_wsgi(environ_of(scheme, host, headers, method))
            assert (other.by_bearer, by_arrival(other)) == (True, by_arrival(asked)), headers


def test_nothing_can_be_changed() -> None:
    """An arrival is a value: whoever is handed one hands on the same."""
    arrival = arrival_of_asgi(scope_of("https", "app.example", ()))
    with pytest.raises((FrozenInstanceError, AttributeError)):
        arrival.peer = "10.0.0.1"  # type: ignore[misc]


def test_it_shows_no_secret() -> None:
    """Tokens do not show in ``repr``, which ends up in logs."""
    headers = (("Authorization", "Bearer ey.J.x"), ("Cookie", f"{SESSION}; {ACCESS}"), ("X-CSRF-Token", "hush"))
    shown = repr(arrival_of_asgi(scope_of("https", "app.example", headers)))
    assert not any(secret in shown for secret in ("ey.J.x", "ccs_1", "hush"))


def test_it_is_read_once() -> None:
    """Whoever asks further in gets what was read at the door."""
    scope = scope_of("https", "app.example", (("Cookie", SESSION),))
    first = asgi.arrival_of(scope)
    assert asgi.arrival_of({**scope, "headers": []}) is first
    environ = environ_of("https", "app.example", (("Cookie", SESSION),))
    assert wsgi.arrival_of(environ) is asgi.arrival_of(wsgi.scope_of(environ | {"PATH_INFO": "/"}))


@pytest.mark.parametrize(
    ("around", "doubt"),
    [
        ((), None),
        ((("Origin", "http://localhost:3000"),), None),
        ((("Origin", "null"),), None),
        ((("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")), Doubt.REWRITTEN_HOST),
        ((("Origin", "https://app.example"), ("Sec-Fetch-Site", "same-origin")), Doubt.REWRITTEN_HOST),
        ((("Origin", "capacitor://localhost"),), None),
        ((("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Host", "localhost")), None),
        ((("Forwarded", "for=127.0.0.1;host=localhost;proto=http"),), None),
        ((("Origin", "https://app.example"),), Doubt.REWRITTEN_HOST),
        ((("X-Forwarded-Proto", "https"),), Doubt.REWRITTEN_HOST),
        ((("X-Forwarded-Host", "app.example"),), Doubt.REWRITTEN_HOST),
        ((("X-Forwarded-For", "203.0.113.7, 127.0.0.1"),), Doubt.REWRITTEN_HOST),
        ((("X-Forwarded-For", "[2001:db8::1]:4711"),), Doubt.REWRITTEN_HOST),
        ((("X-Real-IP", "10.0.0.7"),), Doubt.REWRITTEN_HOST),
        ((("Forwarded", 'for="[2001:db8::1]";proto=http'),), Doubt.REWRITTEN_HOST),
        ((("Forwarded", "proto=https"),), Doubt.REWRITTEN_HOST),
    ],
)
def test_a_request_that_contradicts_itself(around: Headers, doubt: Doubt | None) -> None:
    """Beside a Host that names this machine, what says that the request was made to another takes the development
    cookies away; what agrees with it does not."""
    arrival = arrival_of_asgi(scope_of("http", "127.0.0.1:8000", around))
    assert (arrival.settable, arrival.doubt) == (None if doubt else DEVELOPMENT, doubt)
    foreign = [name for name, _ in around] in (["Origin"], ["Origin", "Sec-Fetch-Site"]) and around[1:] != SAME
    assert arrival.names is (None if doubt and not foreign else DEVELOPMENT)


def test_a_proxy_that_is_believed_is_no_contradiction() -> None:
    """A server that believes its proxy takes the client's address from it, and that agrees with the header."""
    scope = scope_of("http", "localhost", (("X-Forwarded-For", "192.0.2.7"),)) | {"client": ("192.0.2.7", 0)}
    assert arrival_of_asgi(scope).names is DEVELOPMENT
    scope = scope_of("https", "localhost", (("X-Forwarded-Proto", "https"),))
    assert (arrival_of_asgi(scope).names, arrival_of_asgi(scope).doubt) == (SECURE, None)


@pytest.mark.parametrize(
    ("around", "doubt"),
    [
        ((), None),
        ((("X-Forwarded-Proto", "http"),), None),
        ((("X-Forwarded-Proto", "https"),), Doubt.TLS_NOT_BELIEVED),
        ((("X-Forwarded-Ssl", "on"),), Doubt.TLS_NOT_BELIEVED),
        ((("Forwarded", "for=192.0.2.1;proto=https"),), Doubt.TLS_NOT_BELIEVED),
        ((("Sec-Fetch-Site", "none"),), Doubt.TLS_NOT_BELIEVED),
    ],
)
def test_tls_that_is_not_believed(around: Headers, doubt: Doubt | None) -> None:
    """Over plain http to another machine there are no cookies; that TLS ended on the way is known by what says so."""
    arrival = arrival_of_asgi(scope_of("http", "app.example", around))
    assert (arrival.names, arrival.doubt) == (None, doubt)
