"""A login of the application's own delivers no cookies to a page of another site (login CSRF)."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from flask import Flask
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import Response as LitestarResponse
from litestar import post as litestar_post
from litestar.testing import TestClient as LitestarClient

from coatcheck import ApplicationSubjects, Auth, Mode, Policy, blocking
from coatcheck import flask as flask_service
from coatcheck import litestar as litestar_service
from coatcheck.asgi import auth_app, deliver

BASE = "https://app.example"
POLICY = Policy(origins=("https://front.example",))


def with_fastapi() -> Any:
    auth = Auth("memory://", subjects=ApplicationSubjects(), policy=POLICY)
    app = FastAPI(lifespan=auth.lifespan)

    async def enter(request: Request, mode: str) -> Response:
        return deliver(Response(), request.scope, await auth.login("ann", mode=Mode(mode)), mount="/auth")

    app.add_api_route("/enter", enter, methods=["GET", "POST"])
    app.mount("/auth", auth_app(auth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have httpx2, and works with httpx
        from starlette.testclient import TestClient
    return TestClient(app, base_url=BASE)


def with_litestar() -> Any:
    auth = Auth("memory://", subjects=ApplicationSubjects(), policy=POLICY)

    @litestar_post("/enter")
    async def enter(request: LitestarRequest[Any, Any, Any]) -> LitestarResponse[str]:
        made = await auth.login("ann", mode=Mode(request.query_params["mode"]))
        return litestar_service.deliver(LitestarResponse("welcome"), request, made)

    return LitestarClient(Litestar([enter], plugins=[litestar_service.ServicePlugin(auth)]), base_url=BASE)


class _FlaskClient:
    """The shape of the others."""

    def __init__(self) -> None:
        self._auth = blocking.Auth("memory://", subjects=ApplicationSubjects(), policy=POLICY)
        app = Flask(__name__)
        flask_service.mount_auth(app, self._auth)

        def enter() -> Any:
            from flask import request

            made = self._auth.login("ann", mode=Mode(request.args["mode"]))
            return flask_service.deliver(Flask.response_class("welcome"), made)

        app.add_url_rule("/enter", view_func=enter, methods=["GET", "POST"])
        self._app = app

    def __enter__(self) -> _FlaskClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._auth.close()

    def request(self, method: str, path: str, headers: dict[str, str]) -> Any:
        return self._app.test_client(use_cookies=False).open(path, method=method, headers=headers, base_url=BASE)


FRAMEWORKS = pytest.mark.parametrize("made", [with_fastapi, with_litestar, _FlaskClient])


def asked(client: Any, mode: str, headers: dict[str, str], method: str = "POST") -> tuple[int, bool, str]:
    """Status, whether a credential was set, and the body."""
    answer = client.request(method, f"/enter?mode={mode}", headers=headers)
    lines = answer.headers.get_list("set-cookie") if hasattr(answer.headers, "get_list") else None
    lines = answer.headers.getlist("Set-Cookie") if lines is None else lines
    return answer.status_code, any("ccs_" in line or "ccr_" in line for line in lines), answer.text


@FRAMEWORKS
@pytest.mark.parametrize("mode", ["session", "jwt-cookie"])
@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}],
)
def test_another_site_gets_no_cookie(made: Any, mode: str, headers: dict[str, str]) -> None:
    """It is refused with 403 and our code."""
    with made() as client:
        status, is_set, body = asked(client, mode, headers)
        assert (status, is_set) == (403, False)
        assert "cross_site" in body


@FRAMEWORKS
@pytest.mark.parametrize(
    ("mode", "headers"),
    [
        ("session", {"sec-fetch-site": "same-origin"}),
        ("session", {"origin": BASE}),
        ("session", {"origin": "https://front.example", "sec-fetch-site": "same-site"}),
        ("jwt-cookie", {}),
    ],
)
def test_our_own_pages_do(made: Any, mode: str, headers: dict[str, str]) -> None:
    """So do listed origins, and programs, which say nothing."""
    with made() as client:
        status, is_set, _ = asked(client, mode, headers)
        assert status in (200, 201)
        assert is_set


@FRAMEWORKS
@pytest.mark.parametrize("mode", ["session", "jwt-cookie"])
def test_a_script_of_another_site_gets_none(made: Any, mode: str) -> None:
    """Also of a listed one: its browser would drop them, so success is not what it is told."""
    with made() as client:
        headers = {"origin": "https://front.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
        status, is_set, body = asked(client, mode, headers)
        assert (status, is_set) == (400, False)
        assert "cookies_need_same_site" in body


@FRAMEWORKS
@pytest.mark.parametrize(
    ("had", "mode"), [("session", "session"), ("session", "jwt-cookie"), ("jwt-cookie", "session")]
)
def test_a_login_over_a_login(made: Any, had: str, mode: str) -> None:
    """What the browser had ends, of whichever mode; a login in mode jwt replaces nothing."""
    with made() as client:
        own = {"sec-fetch-site": "same-origin"}
        first = client.request("POST", f"/enter?mode={had}", headers=own)
        pairs = [line.partition(";")[0] for name, line in first.headers.items() if name.lower() == "set-cookie"]
        held = {"cookie": "; ".join(pair for pair in pairs if not pair.endswith("=")), "sec-fetch-site": "same-origin"}
        if hasattr(client, "cookies"):
            client.cookies.clear()
        for again, status in (("jwt", 200), (mode, 401)):
            answer = client.request("POST", f"/enter?mode={again}", headers=held)
            assert answer.status_code in (200, 201)
            if hasattr(client, "cookies"):
                client.cookies.clear()
            assert client.request("GET", "/auth/session", headers=held).status_code == status


@FRAMEWORKS
def test_tokens_in_a_body_are_for_everybody(made: Any) -> None:
    """Mode jwt sets no cookie, so there is nothing to plant."""
    with made() as client:
        status, is_set, _ = asked(client, "jwt", {"sec-fetch-site": "cross-site"})
        assert status in (200, 201)
        assert not is_set


@pytest.mark.parametrize("made", [with_fastapi, _FlaskClient])
def test_coming_back_from_a_provider(made: Any) -> None:
    """The GET with which another service sends somebody back may log in: its own ``state`` protects it."""
    with made() as client:
        status, is_set, _ = asked(client, "session", {"sec-fetch-site": "cross-site"}, "GET")
        assert (status, is_set) == (200, True)
