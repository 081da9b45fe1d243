"""The service behind WSGI, plain and in Flask: it answers as it does behind ASGI, and reads no more than it must."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import run_wsgi_app

import coatcheck
from coatcheck import ConfigurationError, Credentials, Mode, Policy, RemoteVerifier, SubjectFacts
from coatcheck.accounts import PasswordHasher
from coatcheck.blocking import Auth
from coatcheck.flask import auth_blueprint, deliver, mount_auth
from coatcheck.service.app import auth_app
from coatcheck.service.bridge import answer
from coatcheck.service.wsgi import WsgiAuthApp
from coatcheck.web.envelope import MAX_BODY
from tests.adapters.apps.flask import environ_of
from tests.adapters.suite.contract import CHEAP, Headers

SERVICE_KEY = "a-service-key-of-the-tests-of-32-characters-or-more"
PASSWORD = "nine brown owls"
JSON = ("Content-Type", "application/json")
OWN = ("Sec-Fetch-Site", "same-origin")
HTML = ("Accept", "text/html")
_DRAWN = re.compile(rb"ccd_[A-Za-z0-9_-]{56}")
"""The value of a form, another one each time."""
Answer = tuple[int, list[tuple[str, str]], bytes]


@pytest.fixture(scope="module")
def auth() -> Iterator[Auth]:
    policy = Policy(modes=(Mode.SESSION, Mode.JWT, Mode.JWT_COOKIE))
    with Auth("memory://", policy=policy, password_hasher=PasswordHasher(CHEAP, concurrency=1)) as running:
        running.run(lambda inner: inner.accounts.register("ann@example.com", PASSWORD))
        yield running


def plain(auth: Auth) -> Any:
    # A dispatcher tells nobody where the application begins.
    service = WsgiAuthApp(auth, service_keys=[SERVICE_KEY], site={"home": "/site/"})
    return DispatcherMiddleware(Flask("nothing"), {"/site/auth": service})


def with_flask(auth: Auth) -> Any:
    app = Flask(__name__)
    mount_auth(app, auth, service_keys=[SERVICE_KEY])
    return DispatcherMiddleware(Flask("nothing"), {"/site": app})


@pytest.fixture(params=[plain, with_flask])
def app(auth: Auth, request: pytest.FixtureRequest) -> Any:
    return request.param(auth)


def ask(
    app: Any, method: str, path: str, *headers: tuple[str, str], body: bytes = b"", base: str = "https://app.example",
    **environ: Any,
) -> Answer:  # fmt: skip
    """One request, with anything else in its environment."""
    made = environ_of(method, f"/site/auth{path}", headers, body, base) | environ
    parts, status, sent = run_wsgi_app(app, {key: value for key, value in made.items() if value is not None})
    return int(status[:3]), [(name.lower(), value) for name, value in sent], b"".join(parts)


def over_asgi(auth: Auth, method: str, path: str, headers: Headers, body: bytes) -> Answer:
    """The same of `auth_app`, mounted into an ASGI application."""

    async def work(inner: Any) -> Answer:
        outer = FastAPI()
        outer.mount("/auth", auth_app(inner, service_keys=[SERVICE_KEY], feed=False))
        transport = httpx.ASGITransport(app=outer, root_path="/site", client=("127.0.0.1", 50000))
        async with httpx.AsyncClient(transport=transport, base_url="https://app.example") as web:
            web.headers.clear()
            made = await web.request(method, f"/site/auth{path}", headers=list(headers), content=body or None)
            return made.status_code, made.headers.multi_items(), made.content

    return auth.run(work)


def login_body(mode: str = "jwt") -> bytes:
    return json.dumps({"email": "ann@example.com", "password": PASSWORD, "mode": mode}).encode()


ALIKE: list[tuple[str, str, Headers, bytes]] = [
    ("GET", "/session", (), b""),
    ("GET", "/session", (("Authorization", "Bearer x"),), b""),
    ("GET", "/login", (HTML,), b""),
    ("GET", "/login?next=%2Fa%3Fb%3D%26c%2520&done=needed", (HTML,), b""),
    ("GET", "/login?next=%2F%C3%A9&next=%2Fx;y=1&&=", (HTML,), b""),
    ("HEAD", "/login", (HTML,), b""),
    ("GET", "/", (HTML,), b""),
    ("GET", "/account", (HTML,), b""),
    ("GET", "/nothing", (HTML,), b""),
    ("GET", "/nothing/%E2%98%83/a%2Fb", (), b""),
    ("GET", "/static/coatcheck.css", (), b""),
    ("HEAD", "/static/coatcheck.css", (), b""),
    ("GET", "/.well-known/jwks.json", (), b""),
    ("GET", "/sessions?limit=abc", (), b""),
    ("GET", "/healthz", (), b""),
    ("OPTIONS", "/login", (), b""),
    ("DELETE", "/login", (), b""),
    ("PUT", "/sessions/x", (), b""),
    ("POST", "/login", (JSON,), b"{}"),
    ("POST", "/login", (JSON,), b'{"email": 1}'),
    ("POST", "/login", (("Content-Type", "text/plain"),), b"{}"),
    ("POST", "/login", (("Content-Type", "Application/JSON; charset=utf-8"),), b'{"email": "\xff"}'),
    ("POST", "/login", (JSON, ("Sec-Fetch-Site", "cross-site")), login_body().replace(b"jwt", b"session")),
    ("POST", "/login", (("Content-Type", "application/x-www-form-urlencoded"), OWN), b"email=a&password=%C3%A9"),
    ("POST", "/refresh", (JSON,), b'{"refresh_token": "x"}'),
    ("POST", "/logout", (OWN,), b""),
    ("POST", "/introspect", (("Content-Type", "application/x-www-form-urlencoded"),), b"token=x"),
    ("GET", "/events", (("Authorization", f"Bearer {SERVICE_KEY}"),), b""),
]


@pytest.mark.parametrize(("method", "path", "headers", "body"), ALIKE)
def test_as_behind_asgi(auth: Auth, app: Any, method: str, path: str, headers: Headers, body: bytes) -> None:
    """Status, headers in their order, and body are the same, to the byte; but for a form's own value."""
    status, sent, content = ask(app, method, path, *headers, body=body)
    expected_status, expected, expected_content = over_asgi(auth, method, path, headers, body)
    assert (status, sent) == (expected_status, expected)
    assert _DRAWN.sub(b"", content) == _DRAWN.sub(b"", expected_content)


def test_login_in_each_mode(app: Any) -> None:
    """Several cookies arrive as several headers, and the refresh cookie goes to where the browser finds the route."""
    status, headers, _ = ask(app, "POST", "/login", JSON, OWN, body=login_body("jwt-cookie"))
    cookies = [value for name, value in headers if name == "set-cookie"]
    assert (status, len(cookies)) == (200, 3)
    assert "; Path=/site/auth/refresh;" in next(value for value in cookies if value.startswith("__Secure-"))
    sent = "; ".join(value.partition(";")[0] for value in cookies[:2])
    assert ask(app, "POST", "/refresh", OWN, ("Cookie", sent))[0] == 200
    assert ask(app, "GET", "/session", ("Cookie", sent))[0] == 200
    assert ask(app, "POST", "/logout", OWN, ("Cookie", sent))[0] == 204
    assert ask(app, "GET", "/session", ("Cookie", sent))[0] == 401


def test_a_service_key_is_no_bad_token(app: Any) -> None:
    """The routes know their bearers themselves: nothing is refused before they are asked."""
    form = ("Content-Type", "application/x-www-form-urlencoded")
    key = ("Authorization", f"Bearer {SERVICE_KEY}")
    assert ask(app, "POST", "/introspect", form, key, body=b"token=x")[::2] == (200, b'{"active":false}')
    assert ask(app, "POST", "/logout", OWN, ("Authorization", "Bearer x"))[0] == 204


def test_the_feed_is_not_here(app: Any) -> None:
    """A follower would hold a thread all the time; it finds no feed, rather than one that starves everybody."""
    assert ask(app, "GET", "/events?wait=5", ("Authorization", f"Bearer {SERVICE_KEY}"))[0] == 404


def test_who_is_connected(auth: Auth, app: Any) -> None:
    """The device's address and the scheme are the client's, which behind a proxy are what that says."""
    behind = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
    said = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "app.example")]
    _, headers, body = ask(behind, "POST", "/login", JSON, *said, body=login_body("session"), base="http://10.0.0.7")
    assert any(value.startswith("__Host-coatcheck=") for name, value in headers if name == "set-cookie")
    session_id = json.loads(body)["session"]["id"]
    standing = auth.run(lambda inner: inner.sessions.find(session_id, now=inner.clock.now()))
    assert standing is not None
    assert standing.session.device.ip == "203.0.113.9"
    assert ask(app, "POST", "/login", JSON, body=login_body("session"), base="http://10.0.0.7")[0] == 400


class Endless(io.RawIOBase):
    """A body without an end. Counts what is read of it."""

    def __init__(self) -> None:
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), 8192)
        buffer[:size] = b"x" * size
        self.given += size
        return size


@pytest.mark.parametrize("announced", [str(MAX_BODY + 1), "9" * 30])
def test_too_large_is_refused_unread(app: Any, announced: str) -> None:
    """What is announced as too large is 413 before a byte of it is read."""
    body = Endless()
    status, headers, content = ask(
        app, "POST", "/login", JSON, CONTENT_LENGTH=announced, **{"wsgi.input": body, "wsgi.input_terminated": None}
    )
    assert (status, b"too_large" in content, body.given) == (413, True, 0)
    assert ("cache-control", "no-store") in headers


def test_a_body_without_length_is_read_within_bounds(app: Any) -> None:
    """A chunked body that does not end is 413, and little more than the bound has been read; one that fits counts."""
    body = Endless()
    assert ask(app, "POST", "/login", JSON, **{"wsgi.input": body})[0] == 413
    assert body.given <= 2 * MAX_BODY
    fits = io.BytesIO(login_body())
    assert ask(app, "POST", "/login", JSON, **{"wsgi.input": fits})[0] == 200


def test_a_body_without_end_is_not_waited_for(app: Any) -> None:
    """Where the server does not know the end of a body of no length, there is none."""
    body = Endless()
    status, _, _ = ask(app, "POST", "/logout", OWN, **{"wsgi.input": body, "wsgi.input_terminated": None})
    assert (status, body.given) == (204, 0)


@pytest.mark.parametrize("terminated", [True, None])
@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "0x10", "٣", " 5", "5,5"])
def test_what_is_no_length(app: Any, length: str, terminated: bool | None) -> None:
    """A length that is none is 400, if the server lets it through at all."""
    status, _, _ = ask(
        app, "POST", "/logout", OWN, CONTENT_LENGTH=length, **{"wsgi.input_terminated": terminated}
    )  # fmt: skip
    assert status == 400


@pytest.mark.parametrize("terminated", [True, None])
def test_a_body_that_breaks_off(auth: Auth, app: Any, terminated: bool | None) -> None:
    """What a client did not send to its end is 400, though it may look whole, and nobody is logged in by it."""
    whole = login_body("jwt")
    status, _, content = ask(
        app, "POST", "/login", JSON, CONTENT_LENGTH=str(len(whole) + 1),
        **{"wsgi.input": io.BytesIO(whole), "wsgi.input_terminated": terminated},
    )  # fmt: skip
    assert (status, b"access_token" in content) == (400, False)


class Broken(io.RawIOBase):
    """A body that the server cannot go on reading."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise OSError("not a chunk")


def test_a_body_that_cannot_be_read(app: Any) -> None:
    """Whatever a server raises over a client's bytes is the client's fault: 400."""
    assert ask(app, "POST", "/login", JSON, **{"wsgi.input": Broken()})[0] == 400


def test_the_rest_is_left_alone(app: Any) -> None:
    """Of a stream that goes on, as without a server that ends it, only what was announced is read."""
    whole, after = login_body("jwt"), b"GET / HTTP/1.1"
    stream = io.BytesIO(whole + after)
    status, _, _ = ask(
        app, "POST", "/login", JSON, CONTENT_LENGTH=str(len(whole)),
        **{"wsgi.input": stream, "wsgi.input_terminated": None},
    )  # fmt: skip
    assert (status, stream.read()) == (200, after)


def test_a_key_that_is_too_short() -> None:
    """A wrong setting is told when the routes are made, and not at the first request."""
    auth = Auth("memory://")
    for make in (WsgiAuthApp, auth_blueprint):
        with pytest.raises(ConfigurationError):
            make(auth, service_keys=["short"])


@pytest.mark.parametrize("make", [plain, with_flask])
def test_after_a_restart(make: Callable[[Auth], Any]) -> None:
    """An Auth that was closed starts again at the next request, in a new loop, and the routes with it."""
    auth = Auth("memory://", password_hasher=PasswordHasher(CHEAP, concurrency=1))
    app = make(auth)
    for _ in range(2):
        assert ask(app, "GET", "/readyz")[0] == 200
        auth.close()


def test_body_that_was_read_before(auth: Auth) -> None:
    """An application may look at every request's data first, within the bound."""
    app = Flask(__name__)
    app.before_request(lambda: request.get_data() and None)
    mount_auth(app, auth, prefix="/site/auth")
    assert ask(app, "POST", "/login", JSON, body=login_body())[0] == 200
    assert ask(app, "POST", "/login", JSON, body=b"x" * (MAX_BODY + 1))[0] == 413


def test_login_of_the_application() -> None:
    """An application's own login hands out the cookies, for the refresh route where it is; in the clear it cannot."""
    app = Flask(__name__)
    auth = mount_auth(app, Auth("memory://", subjects=lambda subject: SubjectFacts()), prefix="/id")

    @app.post("/site/auth/enter")
    def enter() -> Any:
        made: Credentials = auth.login("ann", mode=Mode.JWT_COOKIE)
        return deliver(app.make_response({"hello": "ann"}), made, mount="/id")

    status, headers, _ = ask(app, "POST", "/enter")
    refresh = next(value for name, value in headers if name == "set-cookie" and value.startswith("__Secure-"))
    assert (status, "Path=/id/refresh" in refresh, ("cache-control", "no-store") in headers) == (200, True, True)
    status, headers, body = ask(app, "POST", "/enter", base="http://app.example")
    assert (status, b"cookies_need_tls" in body) == (400, True)
    assert not any(name == "set-cookie" for name, _ in headers)
    auth.close()


async def test_the_client_stays_until_it_is_answered() -> None:
    """An application that waits for the client to leave does not see it leave; what it streams is collected."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"hello"
        await send({"type": "http.response.start", "status": 203, "headers": [(b"a", b"1"), (b"a", b"2")]})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})
        assert (await receive())["type"] == "http.disconnect"

    answered = await answer(app, {"type": "http"}, b"hello")
    assert (answered.status, answered.text_headers(), answered.body) == (203, [("a", "1"), ("a", "2")], b"one two")


def test_wrong_auth(auth: Auth) -> None:
    """An `Auth` of the other kind, or one that only verifies, is refused where it is handed over, and by its name."""
    inner = coatcheck.Auth("memory://")
    remote = RemoteVerifier("https://auth.example/auth", service_key=SERVICE_KEY)
    for other in (inner, remote):
        with pytest.raises(ConfigurationError, match=r"coatcheck\.blocking\.Auth"):
            auth_blueprint(other)  # type: ignore[arg-type]  # that is what is tried
    for other in (auth, remote):
        with pytest.raises(ConfigurationError, match=r"coatcheck\.Auth"):
            auth_app(other)  # type: ignore[arg-type]  # that is what is tried
