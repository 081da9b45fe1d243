"""Trading in what another system has issued: once, as old as it was, and never after a logout everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from coatcheck import Auth, Mode, Policy, SubjectFacts
from coatcheck.adapters.asgi import header
from coatcheck.asgi import Former, TradeIn, auth_app, trade_in
from coatcheck.clock import Clock
from coatcheck.errors import ConfigurationError, RevokedCredential, StoreUnavailable
from coatcheck.fastapi import CurrentUser, OptionalUser, attach
from coatcheck.features.former.trading import exchange
from coatcheck.testing.clock import TravelClock

BASE = "https://app.example"
VISIT = {"accept": "text/html", "sec-fetch-mode": "navigate"}
DAY = 86_400.0


@pytest.fixture
def travel() -> TravelClock:
    return TravelClock()


@pytest.fixture
async def auth(travel: TravelClock) -> AsyncIterator[Auth]:
    def facts(subject: str) -> SubjectFacts | None:
        return None if subject == "gone" else SubjectFacts()

    clock = Clock(travel.monotonic, travel)
    async with Auth("memory://", clock=clock, subjects=facts, policy=Policy(max_staleness=10 * DAY)) as running:
        yield running


def reader(now: float) -> Any:
    """Reads ``old=<subject>:<login>`` as a former cookie; ``old=down`` is a store that does not answer."""

    def read(scope: Any) -> Former | None:
        pairs = dict(part.split("=", 1) for part in header(scope, b"cookie").decode().split("; ") if "=" in part)
        subject, _, login = pairs.get("old", "").partition(":")
        if subject == "down":
            raise StoreUnavailable("the former store does not answer")
        if not login:
            return None
        return Former(
            subject=subject, credential=pairs["old"], expires=now + DAY, auth_time=now - 3600, cookies=("old",)
        )

    return read


def application(auth: Auth, travel: TravelClock) -> Any:
    app = FastAPI()
    app.mount("/auth", auth_app(auth))

    @app.get("/")
    async def who(user: OptionalUser) -> str:
        return user.subject if user else "nobody"

    @app.post("/tokens")
    async def tokens(request: Request, token: str, mode: str = "jwt") -> Any:
        former = Former(subject="ann", credential=token, auth_time=travel() - 60)
        return await trade_in(request, auth, former, mode=Mode(mode))

    @app.get("/mine")
    async def mine(user: CurrentUser) -> float:
        return user.auth_time

    app.add_middleware(TradeIn, auth=auth, reader=reader(travel()))  # type: ignore[arg-type]  # Starlette's own protocol

    attach(app)

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {"coatcheck": auth}}, receive, send)

    return with_state


@pytest.fixture
async def web(auth: Auth, travel: TravelClock) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application(auth, travel))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


def cookies_of(answer: httpx.Response) -> dict[str, str]:
    return {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}


async def visit(web: httpx.AsyncClient, cookie: str, path: str = "/", **more: str) -> httpx.Response:
    web.cookies.clear()
    return await web.get(path, headers=VISIT | {"cookie": cookie} | more)


async def test_a_visit_is_logged_in_on_the_way(web: httpx.AsyncClient, auth: Auth) -> None:
    """The same address again, our cookie set, the former one forgotten, and a session as old as the former login."""
    answer = await visit(web, "old=ann:1", "/?a=1&b=%C3%A4")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?a=1&b=%C3%A4")
    assert answer.headers["cache-control"] == "no-store"
    cookies = cookies_of(answer)
    assert cookies["old"].startswith("old=; Path=/;")
    assert "Max-Age=0" in cookies["old"]
    token = cookies["__Host-coatcheck"].partition(";")[0]
    assert (await visit(web, token)).json() == "ann"
    assert (await visit(web, token, "/mine")).json() == pytest.approx(auth.clock.now() - 3600, abs=5)


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "application/json"},
        {"accept": "text/html", "sec-fetch-mode": "cors"},
        {"accept": "text/html", "sec-fetch-mode": "no-cors"},
        {"accept": "image/*", "sec-fetch-mode": "no-cors"},
    ],
)
async def test_only_visits_are(web: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """A script, an image or a program that brings a former cookie is nobody."""
    answer = await web.get("/", headers=headers | {"cookie": "old=ann:1"})
    assert (answer.status_code, answer.json()) == (200, "nobody")


async def test_a_change_is_never(web: httpx.AsyncClient) -> None:
    """A POST with a former cookie logs nobody in."""
    answer = await web.post("/tokens?token=x", headers=VISIT | {"cookie": "old=ann:1"})
    assert "__Host-coatcheck" not in cookies_of(answer)


@pytest.mark.parametrize("path", ["//evil.example/", "https://evil.example/", "evil.example"])
async def test_no_address_of_another_host(auth: Auth, travel: TravelClock, path: str) -> None:
    """Where the path would be read as another host's, nobody is sent anywhere."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    headers = [(b"host", b"app.example"), (b"accept", b"text/html"), (b"cookie", b"old=ann:1")]
    scope = {
        "type": "http", "method": "GET", "scheme": "https", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "root_path": "", "client": ("203.0.113.7", 1), "server": None,
    }  # fmt: skip
    await application(auth, travel)(scope, receive, send)
    assert sent[0]["status"] == 404


async def test_it_counts_once(web: httpx.AsyncClient, travel: TravelClock, auth: Auth) -> None:
    """Tabs that open at once get in; a copy that comes later does not, also after a logout."""
    first, second = await visit(web, "old=ann:1"), await visit(web, "old=ann:1")
    assert first.status_code == second.status_code == 303
    travel.advance(auth.policy.reuse_window + 1)
    for _ in range(2):
        assert (await visit(web, "old=ann:1")).json() == "nobody"
    assert (await visit(web, "old=ann:2")).status_code == 303


async def test_what_else_would_let_them_in_is_used_up(auth: Auth, travel: TravelClock) -> None:
    """One login that is written in several places counts once, whichever of them comes first."""
    scope = {"type": "http", "scheme": "https", "headers": [(b"host", b"app.example")], "client": None}
    await exchange(auth, scope, Former(subject="ann", credential="cookie", also=("remembered",)), mode=Mode.SESSION)
    travel.advance(auth.policy.reuse_window + 1)
    for credential in ("cookie", "remembered"):
        with pytest.raises(RevokedCredential):
            await exchange(auth, scope, Former(subject="ann", credential=credential), mode=Mode.SESSION)
    again = Former(subject="ann", credential="another device's", also=("remembered",))
    assert (await exchange(auth, scope, again, mode=Mode.SESSION)).session.subject == "ann"
    assert "remembered" not in repr(again)


async def test_whatever_it_is_made_of(auth: Auth) -> None:
    """It counts once also where it holds half of a surrogate pair, as JSON may."""
    scope = {"type": "http", "scheme": "https", "headers": [(b"host", b"app.example")], "client": None}
    for number in (1, 2):
        former = Former(subject="ann", credential=f"\ud800{number}")
        assert (await exchange(auth, scope, former, mode=Mode.SESSION)).session.subject == "ann"


async def test_a_credential_of_ours_goes_first(web: httpx.AsyncClient, auth: Auth) -> None:
    """Whoever presents one, though it has ended, is not logged in by a former cookie."""
    made = await auth.login("bob", mode=Mode.SESSION)
    ours = f"__Host-coatcheck={made.session_token}"
    assert (await visit(web, f"old=ann:1; {ours}")).json() == "bob"
    await auth.revoke(made.session.id)
    assert (await visit(web, f"old=ann:1; {ours}")).json() == "nobody"


async def test_a_cookie_of_another_port_does_not_go_first(web: httpx.AsyncClient, auth: Auth) -> None:
    """In development one of port 8000, perhaps of another application, keeps nobody from being traded in at another."""
    for port, expected in ((8000, 200), (5000, 303)):
        web.base_url = httpx.URL(f"http://localhost:{port}")
        assert (await visit(web, "old=ann:1; coatcheck=ccs_theirs")).status_code == expected


async def test_never_after_a_logout_everywhere(web: httpx.AsyncClient, auth: Auth) -> None:
    """Neither the copy that was traded in, nor another one that never was."""
    assert (await visit(web, "old=ann:1")).status_code == 303
    await auth.revoke_subject("ann")
    for login in ("1", "2"):
        assert (await visit(web, f"old=ann:{login}")).json() == "nobody"
    answer = await web.post("/tokens?token=old", headers={"sec-fetch-site": "same-origin"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credential")


async def test_a_race_with_a_logout_everywhere_is_lost(auth: Auth, travel: TravelClock) -> None:
    """The login is made for the epoch from before any cut-off, whatever was looked at earlier."""
    former = Former(subject="ann", credential="c", auth_time=1.0)
    scope = {"type": "http", "method": "GET", "scheme": "https", "headers": [(b"host", b"app.example")]}
    real = auth.epoch_of

    async def overtaken(subject: str) -> int:
        found = await real(subject)
        await auth.revoke_subject(subject)
        return found

    auth.epoch_of = overtaken  # type: ignore[method-assign]
    with pytest.raises(Exception, match="logged out everywhere"):
        await exchange(auth, scope, former, mode=Mode.SESSION)


async def test_an_expired_or_unknown_one_is_nobody(web: httpx.AsyncClient, travel: TravelClock) -> None:
    """And so is that of a subject who must not get in."""
    assert (await visit(web, "old=gone:1")).json() == "nobody"
    travel.advance(DAY)
    assert (await visit(web, "old=ann:1")).json() == "nobody"


async def test_a_silent_store_is_503(web: httpx.AsyncClient) -> None:
    """Nobody is told that they are nobody while it cannot be known."""
    assert (await visit(web, "old=down:1")).status_code == 503


async def test_tokens_for_a_token(web: httpx.AsyncClient, auth: Auth) -> None:
    """A program gets the answer of a login, and its access token is as old as the former login."""
    answer = await web.post("/tokens?token=abc")
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["mode"] == "jwt"
    mine = await web.get("/mine", headers={"authorization": f"Bearer {body['access_token']}"})
    assert mine.json() == pytest.approx(auth.clock.now() - 60, abs=5)
    refreshed = await web.post("/auth/refresh", json={"refresh_token": body["refresh_token"]})
    assert refreshed.status_code == 200


async def test_tokens_in_cookies_go_to_the_refresh_route(web: httpx.AsyncClient) -> None:
    """Mode jwt-cookie: the refresh cookie's path is below where the service is mounted."""
    answer = await web.post("/tokens?token=abc&mode=jwt-cookie")
    assert "Path=/auth/refresh" in cookies_of(answer)["__Secure-coatcheck-refresh"]


async def test_another_site_logs_nobody_in(web: httpx.AsyncClient) -> None:
    """A form elsewhere with a former token of its own choice sets no cookie."""
    answer = await web.post("/tokens?token=abc&mode=session", headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, cookies_of(answer)) == (403, {})


async def test_a_policy_without_cookies_is_told_at_the_start() -> None:
    """There is nothing that a former cookie could become."""
    with pytest.raises(ConfigurationError, match="modes"):
        TradeIn(lambda *_: asyncio.sleep(0), Auth("memory://", policy=Policy(modes=(Mode.JWT,))), lambda scope: None)


def test_a_former_credential_does_not_show_itself() -> None:
    """Not in a log."""
    assert "secret-of-theirs" not in repr(Former(subject="ann", credential="secret-of-theirs"))
