"""Flask: an application's own forms, by people: after the end of a login, and of a tab of somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask, request

from coatcheck import Mode, SubjectFacts
from coatcheck.blocking import Auth
from coatcheck.flask import Coatcheck, csrf_token, login_required
from coatcheck.issuer import Credentials

HTTPS = "https://app.example"
PERSON = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
FACTS = SubjectFacts()
LARGE = "x" * 100_000


@pytest.fixture
def auth() -> Iterator[Auth]:
    with Auth("memory://", subjects=lambda _: FACTS) as running:
        yield running


@pytest.fixture
def app(auth: Auth) -> Flask:
    app = Flask(__name__)
    Coatcheck(app, auth, login_view="/auth/login")

    @app.get("/form")
    @login_required
    def form() -> str:
        return csrf_token()

    @app.post("/form")
    @login_required
    def send() -> dict[str, Any]:
        body = request.get_data()
        return {"sent": request.form["text"], "bytes": len(body), "file": len(request.files)}

    return app


def cookie(made: Credentials) -> dict[str, str]:
    return {"Cookie": f"__Host-coatcheck={made.session_token}"}


@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_a_form_of_another_login(app: Flask, auth: Auth, kind: str) -> None:
    """It is refused with a page, although it comes from the same origin; that of the present login is taken, and the
    view reads the body as ever."""
    ann, eve = (auth.login(name, mode=Mode.SESSION) for name in ("ann", "eve"))
    web = app.test_client(use_cookies=False)
    token = web.get("/form", headers=cookie(ann) | PERSON, base_url=HTTPS).text
    more = {"content_type": "multipart/form-data"} if kind == "multipart" else {}

    def send(made: Credentials, fields: dict[str, Any]) -> Any:
        return web.post("/form", data=fields, headers=cookie(made) | PERSON, base_url=HTTPS, **more)

    answer = send(eve, {"csrf_token": token, "text": "stolen"})
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert "That was not accepted" in answer.text
    assert "stolen" not in answer.text
    for fields in (
        {"csrf_token": token, "text": "mine"},
        {"text": "mine"},
        {"csrf_token": "a-b", "text": "mine"},
    ):
        answer = send(ann, fields)
        assert (answer.status_code, answer.json["sent"]) == (200, "mine")
        if kind == "urlencoded":
            assert answer.json["bytes"] == len(urlencode(fields))
    program = {"Accept": "application/json"}
    headers = cookie(eve) | PERSON | program
    answer = web.post("/form", data={"csrf_token": token, "text": "x"}, headers=headers, base_url=HTTPS)
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (403, "cross_site")


def test_a_form_after_the_end(app: Flask, auth: Auth) -> None:
    """A person is sent to log in, and from there to the page that the form is on; a program is told with 401."""
    ann = auth.login("ann", mode=Mode.SESSION)
    web = app.test_client(use_cookies=False)
    auth.revoke(ann.session.id, wait=True)
    for referer, location in (
        (f"{HTTPS}/form?page=2", "/auth/login?next=%2Fform%3Fpage%3D2"),
        ("https://evil.example/form", "/auth/login"),
        (f"{HTTPS}//evil.example", "/auth/login"),
        ("", "/auth/login"),
    ):
        headers = cookie(ann) | PERSON | ({"Referer": referer} if referer else {})
        answer = web.post("/form", data={"text": "x"}, headers=headers, base_url=HTTPS)
        assert (answer.status_code, answer.location) == (303, location)
    for headers in ({"Accept": "application/json"}, PERSON | {"Authorization": "Bearer x"}):
        answer = web.post("/form", data={"text": "x"}, headers=cookie(ann) | headers, base_url=HTTPS)
        assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    answer = web.post("/form", json={"text": "x"}, headers=cookie(ann) | PERSON, base_url=HTTPS)
    assert answer.status_code == 401, "no form: a script asks"


def test_a_large_form(app: Flask, auth: Auth) -> None:
    """What is larger than a form of text, such as an upload, is left for the view to read."""
    ann = auth.login("ann", mode=Mode.SESSION)
    web = app.test_client(use_cookies=False)
    answer = web.post("/form", data={"text": LARGE}, headers=cookie(ann) | PERSON, base_url=HTTPS)
    assert answer.json is not None
    assert (answer.status_code, answer.json["sent"]) == (200, LARGE)
