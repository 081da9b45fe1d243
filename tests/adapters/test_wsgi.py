"""WSGI environments: as real servers make them of a request's bytes, and at their edges."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler as ReferenceHandler
from wsgiref.simple_server import make_server as make_reference_server

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.serving import WSGIRequestHandler, make_server

from coatcheck import Identity, Mode, SubjectFacts
from coatcheck.adapters import asgi, wsgi
from coatcheck.adapters.wsgi import BlockingKnower, header_bytes, identify, identify_leniently, path_text, scope_of
from coatcheck.blocking import Auth
from coatcheck.credentials.cookies import DEVELOPMENT, SECURE
from coatcheck.errors import CrossSite, InvalidCredential
from tests.adapters.apps import plain_wsgi
from tests.adapters.apps.flask import environ_of
from tests.support.gunicorn import Gunicorn, exchange

COOKIE = DEVELOPMENT.session.encode()


@dataclass
class Running:
    """A real server with `plain_wsgi`."""

    port: int

    def ask(self, *lines: bytes, method: bytes = b"GET", path: bytes = b"/", host: bytes | None = b"localhost") -> Any:
        """What it answers to a request with these header lines, byte for byte."""
        head = [b"%s %s HTTP/1.0" % (method, path)]
        head += [b"Host: " + host] if host is not None else []
        reply = exchange(self.port, b"\r\n".join([*head, *lines, b"Content-Length: 0", b"", b""]))
        status, _, body = reply.partition(b"\r\n")[0], *reply.partition(b"\r\n\r\n")[1:]
        return json.loads(body) if status.split()[1] == b"200" else int(status.split()[1])

    def login(self, mode: Mode) -> tuple[bytes, bytes]:
        """A credential of this mode, and its CSRF token."""
        made = self.ask(path=b"/login/" + mode.value.encode())
        return made["token"].encode(), made["csrf"].encode()


class QuietReference(ReferenceHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


IN_USE = ["gunicorn", "gunicorn-threads", "werkzeug"]


@pytest.fixture(scope="session", params=[*IN_USE, "wsgiref"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if request.param.startswith("gunicorn"):
        log: Path = tmp_path_factory.mktemp("gunicorn") / "log"
        options = ("--threads", "2") if request.param == "gunicorn-threads" else ()
        gunicorn = Gunicorn("tests.adapters.apps.plain_wsgi:app", *options, log=log)
        gunicorn.start()
        yield Running(gunicorn.port)
        gunicorn.kill()
        return
    if request.param == "werkzeug":
        made = make_server("127.0.0.1", 0, plain_wsgi.app, request_handler=Quiet)
    else:
        made = make_reference_server("127.0.0.1", 0, plain_wsgi.app, handler_class=QuietReference)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield Running(made.server_address[1])
    made.shutdown()
    thread.join()
    made.server_close()
    plain_wsgi.auth.close()


NOBODY = {"subject": None}
ANN = {"subject": "ann"}
REFUSED = {"refused": "invalid_credential"}


def test_who_is_asking(server: Running) -> None:
    """Each mode's credential is known, at first sight and from memory."""
    for mode, line in [
        (Mode.SESSION, b"Cookie: coatcheck=%s"),
        (Mode.JWT, b"Authorization: Bearer %s"),
        (Mode.JWT_COOKIE, b"cookie: a=b; coatcheck-access=%s; c=d"),
    ]:
        token, _ = server.login(mode)
        assert [server.ask(line % token) for _ in range(2)] == [ANN, ANN]
    assert server.ask() == NOBODY


def test_two_authorization_headers(server: Running) -> None:
    """They are a bad bearer token, whichever is good and also when both are the same; in memory or not."""
    token, _ = server.login(Mode.JWT)
    good, bad, basic = b"Authorization: Bearer " + token, b"Authorization: Bearer x", b"Authorization: Basic eDp5"
    for known in (False, True):
        for lines in ((good, good), (good, bad), (bad, good), (good, basic)):
            for method in (b"GET", b"POST"):
                assert server.ask(*lines, method=method) == REFUSED, (known, lines)
        assert server.ask(basic, good) == NOBODY  # of another scheme as a whole, to all servers of WSGI
        assert server.ask(good) == ANN


def test_two_cookie_headers(server: Running) -> None:
    """Servers join them with a comma; what is joined is not taken apart again, whatever stands first."""
    token, _ = server.login(Mode.SESSION)
    ours, other = b"Cookie: %s=%s" % (COOKIE, token), b"Cookie: theme=dark"
    for lines in ((ours, other), (other, ours), (ours, ours), (b"Cookie: %s=x" % COOKIE, ours)):
        assert server.ask(*lines) == NOBODY, lines
    assert server.ask(ours) == ANN
    for lines in ((ours, other), (other, ours), (ours, ours)):
        assert server.ask(*lines) == NOBODY, lines


def test_a_comma_in_another_cookie_plants_nothing(server: Running) -> None:
    """A sister host may set cookies of other names for us; what is in them is never one of ours."""
    token, _ = server.login(Mode.SESSION)
    for value in (b"x,%s=%s", b'"%s=%s"', b"x %s=%s", b"%s=%s"):
        assert server.ask(b"Cookie: theme=" + value % (COOKIE, token)) == NOBODY, value


def test_two_cookies_of_one_name(server: Running) -> None:
    """They count as none, even when both are the same."""
    token, _ = server.login(Mode.SESSION)
    pair = b"%s=%s" % (COOKIE, token)
    assert server.ask(b"Cookie: " + pair) == ANN
    for value in (pair + b"; " + pair, pair + b"; %s=x" % COOKIE, b"%s=;" % COOKIE + pair):
        assert server.ask(b"Cookie: " + value) == NOBODY, value


@pytest.mark.parametrize("server", IN_USE, indirect=True)  # the reference server does not tell them apart
def test_underscores_are_no_dashes(server: Running) -> None:
    """A header that only looks like one of ours after the server's translation does not count, alone or besides."""
    token, csrf = server.login(Mode.SESSION)
    cookie = b"Cookie: %s=%s" % (COOKIE, token)
    assert server.ask(cookie, b"Sec-Fetch-Site: same-origin", method=b"POST") == ANN
    assert server.ask(cookie, b"X-CSRF-Token: " + csrf, method=b"POST") == ANN
    for line in (b"Sec_Fetch_Site: same-origin", b"Sec-Fetch_Site: same-origin", b"X_CSRF_Token: " + csrf):
        for lines in ((line,), (line, b"Sec-Fetch-Site: cross-site"), (b"Sec-Fetch-Site: cross-site", line)):
            assert server.ask(cookie, *lines, method=b"POST") == {"refused": "cross_site"}, lines
    bearer, _ = server.login(Mode.JWT)
    assert server.ask(b"Authorization_: Bearer " + bearer) == NOBODY


def test_fetch_metadata_twice(server: Running) -> None:
    """A header of where a request comes from that is there twice shows nothing good."""
    token, _ = server.login(Mode.SESSION)
    cookie = b"Cookie: %s=%s" % (COOKIE, token)
    own, cross = b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: cross-site"
    origin, evil = b"Origin: http://localhost", b"Origin: https://evil.example"
    assert server.ask(cookie, origin, method=b"POST") == ANN
    for lines in ((own, cross), (cross, own), (origin, evil), (evil, origin), (b"Origin: null", origin)):
        assert server.ask(cookie, *lines, method=b"POST") == {"refused": "cross_site"}, lines


@pytest.mark.parametrize("junk", [b"\xff", b"\xe2\x98\x83", b"\xc3\xa9\x80"])
def test_bytes_beyond_ascii(server: Running, junk: bytes) -> None:
    """In another cookie they do no harm; in one of ours, or in a bearer token, they are a refusal and no fault."""
    token, _ = server.login(Mode.SESSION)
    bearer, _ = server.login(Mode.JWT)
    assert server.ask(b"Cookie: theme=%s; %s=%s" % (junk, COOKIE, token)) == ANN
    assert server.ask(b"Cookie: %s=%s%s" % (COOKIE, token, junk)) == NOBODY
    assert server.ask(b"Authorization: Bearer %s%s" % (bearer, junk)) == REFUSED
    assert server.ask(b"Cookie: %s=%s" % (COOKIE, token), host=b"local" + junk) in (NOBODY, 400)


def test_without_host(server: Running) -> None:
    """Where it is not said which host was asked, plain http has no cookies; a bearer token needs none."""
    token, _ = server.login(Mode.SESSION)
    bearer, _ = server.login(Mode.JWT)
    assert server.ask(b"Cookie: %s=%s" % (COOKIE, token), host=None) == NOBODY
    assert server.ask(b"Cookie: %s=%s" % (COOKIE, token), host=b"app.example") == NOBODY
    assert server.ask(b"Authorization: Bearer " + bearer, host=None) == ANN


def test_a_bad_bearer_token_with_a_good_cookie(server: Running) -> None:
    """What was presented counts, and nothing in its place."""
    token, _ = server.login(Mode.SESSION)
    cookie = b"Cookie: %s=%s" % (COOKIE, token)
    for value in (b"Bearer x", b"Bearer", b"bearer\ta", b"Bearer a b"):
        assert server.ask(cookie, b"Authorization: " + value) == REFUSED, value


def test_scope() -> None:
    """Paths are text, the prefix is the root path, the client is who is connected; an empty header is a header."""
    environ = environ_of("GET", "/s%C3%AFte/a%20b", [("Origin", "")], b"", "https://app.example") | {
        "SCRIPT_NAME": "/s\xc3\xafte",
        "PATH_INFO": "/a b",
    }
    scope = scope_of(environ)
    assert (scope["root_path"], scope["path"], scope["client"]) == ("/sïte", "/sïte/a b", ("127.0.0.1", 50000))
    assert (b"origin", b"") in scope["headers"]
    assert scope_of(environ | {"REMOTE_ADDR": ""})["client"] is None


@given(st.text())
def test_any_text_is_bytes(text: str) -> None:
    """Whatever a test client or a careless server puts into an environment, it is a header and no fault."""
    assert header_bytes(text).decode("latin-1") == "".join(char if char <= "\xff" else "?" for char in text)
    assert isinstance(path_text({"PATH_INFO": text}, "PATH_INFO"), str)


@pytest.fixture(scope="module")
def auth() -> Iterator[Auth]:
    with Auth("memory://", subjects=lambda subject: SubjectFacts()) as running:
        yield running


def request(method: str = "GET", **headers: str) -> Any:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return scope_of(environ_of(method, "/", named, b"", "https://app.example"))


def test_text_that_is_no_latin_1(auth: Auth) -> None:
    """A snowman in a token is refused like any other that is not ours."""
    with pytest.raises(InvalidCredential):
        identify(auth, request(authorization="Bearer ☃"))
    assert identify_leniently(auth, request(cookie=f"{SECURE.session}=☃")) is None


class Counting:
    """Passes on to an `Auth` and counts."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self.policy, self.clock, self.check_csrf_token = auth.policy, auth.clock, auth.check_csrf_token
        self.lookups = self.verified = 0

    def known(self, key: bytes) -> Identity | None:
        self.lookups += 1
        return self._auth.known(key)

    def verify(self, credential: Any) -> Identity:
        self.verified += 1
        return self._auth.verify(credential)


@pytest.mark.parametrize("mode", list(Mode))
def test_hit_path_is_one_lookup(auth: Auth, mode: Mode) -> None:
    """Of a request that reads and whose credential is in memory, nothing is verified, and the table is asked once."""
    made = auth.login("ann", mode=mode)
    headers = {
        Mode.SESSION: {"cookie": f"a=b; {SECURE.session}={made.session_token}"},
        Mode.JWT: {"authorization": f"Bearer {made.access_token}"},
        Mode.JWT_COOKIE: {"cookie": f"a=b; {SECURE.access}={made.access_token}"},
    }[mode]
    counting = Counting(auth)
    knower: BlockingKnower = counting
    assert identify(knower, request(**headers)) is not None
    counting.lookups = counting.verified = 0
    assert identify(knower, request(**headers)) is not None
    assert (counting.lookups, counting.verified) == (1, 0)


def test_the_form_is_read_only_when_it_matters(auth: Auth) -> None:
    """A form's token is asked for only where a change rides on a good cookie and no header says where it is from."""
    made, other = auth.login("ann", mode=Mode.SESSION), auth.login("ann", mode=Mode.SESSION)
    cookie = f"{SECURE.session}={made.session_token}"
    asked = []

    def form(token: str | None) -> Any:
        return lambda: asked.append(token) or token

    unread = form(made.csrf_token)
    for scope in (
        request(cookie=cookie),
        request("POST"),
        request("POST", cookie=cookie, sec_fetch_site="same-origin"),
        request("POST", cookie=cookie, origin="https://app.example"),
        request("POST", cookie=cookie, x_csrf_token=made.csrf_token),
        request("POST", cookie=f"{SECURE.session}=x"),
    ):
        identify_leniently(auth, scope, unread)
    for scope in (
        request("POST", cookie=cookie, sec_fetch_site="cross-site"),
        request("POST", cookie=cookie, x_csrf_token=other.csrf_token),
    ):
        with pytest.raises(CrossSite):
            identify(auth, scope, unread)
    assert asked == []
    assert identify(auth, request("POST", cookie=cookie), form(made.csrf_token)) is not None
    for token in (other.csrf_token, "", None):
        with pytest.raises(CrossSite):
            identify(auth, request("POST", cookie=cookie), form(token))
    assert len(asked) == 4


def somebody(mode: Mode) -> Identity:
    return Identity(
        subject=mode, session_id=mode, roles=frozenset(), claims={}, auth_time=0.0, amr=(), mode=mode
    )  # fmt: skip


IN_MEMORY = {
    b"Bearer ours": somebody(Mode.JWT),
    **{f"{names.session}=ours".encode(): somebody(Mode.SESSION) for names in (DEVELOPMENT, SECURE)},
    **{f"{names.access}=ours".encode(): somebody(Mode.JWT_COOKIE) for names in (DEVELOPMENT, SECURE)},
}
ONES = [*(key.decode() for key in IN_MEMORY), f"{DEVELOPMENT.session}x=theirs", "theirs=1", "bearer ours", "ÿ=Ā"]
PAIRS = [one + between + other for one in ONES for between in ("; ", ";", ",", " ") for other in ONES]


@pytest.mark.parametrize("host", [None, "localhost:8000", "far.example", "Ā"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_recognised_alike(scheme: str, host: str | None) -> None:
    """Who is found in memory for a request's environment is found for the same request in ASGI, and nobody else."""
    cases = [("HTTP_COOKIE", text) for text in ONES + PAIRS] + [("HTTP_AUTHORIZATION", text) for text in ONES + PAIRS]
    for name, text in cases:
        for more in ({}, {"HTTP_COOKIE": f"{SECURE.session}=ours"}, {"HTTP_AUTHORIZATION": "Basic x"}):
            environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": scheme, name: text} | more
            environ |= {} if host is None else {"HTTP_HOST": host}
            found = wsgi.recognise(IN_MEMORY.get, environ, scheme, host or "")
            assert found is asgi.recognise(IN_MEMORY.get, scope_of(environ)), environ
