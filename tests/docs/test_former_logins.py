"""The pages that say how live users are moved: what a thief has copied is worth nothing once its owner has come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Request

from tests.docs.pages import ROOT, blocks_of

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
VISIT = {"Accept": "text/html"}
BASE = "http://127.0.0.1"


@pytest.fixture
def programs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The page's programs of before and after."""
    for block in blocks_of(ROOT / "docs" / request.param):
        if block.name in ("before.py", "after.py"):
            (tmp_path / block.name).write_text(block.text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("before", "after")
    yield [__import__(name) for name in names]
    for name in names:
        del sys.modules[name]


def spellings(cookie: str) -> list[str]:
    """The cookie, and what differs from it in the last character of its signature."""
    return [cookie[:-1] + last for last in ALPHABET]


def is_in(cookies: list[str]) -> bool:
    return any(cookie.startswith("coatcheck=ccs_") for cookie in cookies)


def session_in(cookies: list[str]) -> str:
    return next(cookie for cookie in cookies if cookie.startswith("session=")).partition(";")[0]


@pytest.mark.parametrize("programs", ["from-flask-login.md"], indirect=True)
def test_flask(programs: list[Any]) -> None:
    """One login of Flask-Login counts once, whichever of its cookies come, and with whatever else."""
    before, after = programs

    @after.app.post("/cart")
    def cart() -> str:
        after.session["cart"] = ["a stick"]
        return "added"

    def ask(cookie: str, path: str = "/", method: str = "GET") -> list[str]:
        client = after.app.test_client(use_cookies=False)
        answer = client.open(path, method=method, headers={**VISIT, "Cookie": cookie}, base_url=BASE)
        return answer.headers.getlist("Set-Cookie")

    browser = before.app.test_client()
    browser.post("/login", data={"name": "ann", "password": "nine brown owls"})
    remembered, session = (browser.get_cookie(name).value for name in ("remember_token", "session"))
    with after.auth:
        assert is_in(ask(f"session={session}; remember_token={remembered}"))
        object.__setattr__(after.auth.policy, "reuse_window", -1.0)  # as if it were over
        copies = [f"session={one}" for one in spellings(session)]
        copies += [f"session={session}; remember_token={one}" for one in (remembered, "made up", "7|made up")]
        copies += [f"remember_token={remembered}", session_in(ask(f"session={session}", "/cart", "POST"))]
        assert [copy for copy in copies if is_in(ask(copy))] == []


@pytest.mark.parametrize("programs", ["from-starlette-sessions.md"], indirect=True)
async def test_starlette(programs: list[Any]) -> None:
    """One login of SessionMiddleware counts once, however often its cookie is signed anew, and however it is spelt."""
    before, after = programs

    async def cart(request: Request) -> None:
        request.session["cart"] = ["a stick"]

    after.app.post("/cart")(cart)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(before.app), base_url=BASE) as browser,
        after.auth,
        httpx.AsyncClient(transport=httpx.ASGITransport(after.app), base_url=BASE) as web,
    ):

        async def ask(cookie: str, path: str = "/elsewhere", method: str = "GET") -> list[str]:
            web.cookies.clear()
            answer = await web.request(method, path, headers={**VISIT, "Cookie": cookie})
            return answer.headers.get_list("set-cookie")

        session = session_in((await browser.post("/login?name=ann")).headers.get_list("set-cookie"))
        assert is_in(await ask(session))
        object.__setattr__(after.auth.policy, "reuse_window", -1.0)  # as if it were over
        copies = [*spellings(session), session_in(await ask(session, "/cart", "POST"))]
        assert [copy for copy in copies if is_in(await ask(copy))] == []
