"""The application: mounted anywhere, alone, and for an application with its own users."""

from __future__ import annotations

import importlib.metadata
import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from coatcheck import Auth, ConfigurationError, Mode, Policy, SubjectFacts
from coatcheck.fastapi import CurrentUser
from coatcheck.service.app import alone, auth_app
from tests.service.api.conftest import running
from tests.service.api.world import (
    MODES,
    OTHER_PASSWORD,
    OWN,
    PASSWORD,
    SECRET,
    SERVICE_KEY,
    World,
    carried,
    hasher,
    set_cookies,
)

LOGIN = {"email": "ada@example.test", "password": PASSWORD}


def mounting(service: FastAPI) -> FastAPI:
    """An application with the service at /auth."""
    host = FastAPI(openapi_url=None)
    host.mount("/auth", service)
    return host


def plain(app: Any, base: str = "https://auth.test", **more: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, **more)
    return httpx.AsyncClient(transport=transport, base_url=base, headers=OWN)


@pytest.mark.parametrize(("prefix", "root_path"), [
    ("/auth", ""), ("/", ""), ("/a/b/c", ""), ("/auth", "/behind"), ("/auth", "/behind/a/proxy"),
])  # fmt: skip
async def test_mounted_anywhere(gated: World, prefix: str, root_path: str) -> None:
    """The routes work under any prefix and behind a proxy's, and the refresh cookie goes where the browser sees it."""
    host = FastAPI(openapi_url=None)
    host.mount(prefix, auth_app(gated.auth))
    at = prefix.rstrip("/")
    async with plain(host, root_path=root_path) as client:
        response = await client.post(f"{root_path}{at}/login", json=LOGIN | {"mode": "jwt-cookie"})
        assert response.status_code == 200
        path = set_cookies(response)["__Secure-coatcheck-refresh"][1]["Path"]
        assert path == f"{root_path}{at}/refresh"
        client.cookies.clear()
        cookies = {name: value for name, (value, _) in set_cookies(response).items() if value}
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        assert (await client.post(path, headers=header)).status_code == 200
        assert (await client.get(f"{root_path}{at}/session", headers=header)).status_code == 200


async def test_a_browser_keeps_the_cookies(gated: World) -> None:
    """With a cookie jar as browsers have it, a session lasts over login, refresh and logout."""
    async with gated.client() as client:
        assert (await client.post("/login", json=LOGIN | {"mode": "jwt-cookie"})).status_code == 200
        assert (await client.post("/refresh")).json()["mode"] == "jwt-cookie"
        assert (await client.get("/session")).status_code == 200
        assert (await client.post("/login", json=LOGIN)).json()["mode"] == "session"
        assert {cookie.name for cookie in client.cookies.jar} == {"__Host-coatcheck"}
        assert (await client.post("/logout")).status_code == 204
        assert not client.cookies.jar
        assert (await client.get("/session")).status_code == 401


@pytest.mark.parametrize("mode", MODES)
async def test_the_host_application_knows_the_same_people(mode: Mode) -> None:
    """A login at the mounted service is one in the host's own routes, and so is its end."""
    auth = Auth("memory://", secret=SECRET, password_hasher=hasher())
    host = FastAPI(lifespan=auth.lifespan)
    host.mount("/auth", auth_app(auth))

    @host.get("/me")
    async def me(user: CurrentUser) -> dict[str, str]:
        return {"id": user.subject}

    async with auth.lifespan(host) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await host(dict(scope, state=dict(state)), receive, send)

        account = await auth.accounts.register(LOGIN["email"], PASSWORD)
        headers = carried(await auth.login(account.id, mode=mode)) | OWN
        async with plain(with_state) as client:
            assert (await client.get("/me", headers=headers)).json() == {"id": account.id}
            assert (await client.post("/auth/logout", headers=headers)).status_code == 204
            assert (await client.get("/me", headers=headers)).status_code == 401


async def test_two_services_do_not_mix() -> None:
    """Two mounted services in one host have each their own people."""
    first = Auth("memory://", secret=SECRET, password_hasher=hasher())
    second = Auth("memory://", secret=SECRET, password_hasher=hasher())
    host = FastAPI(openapi_url=None)
    host.mount("/one", auth_app(first))
    host.mount("/two", auth_app(second))
    async with first, second, plain(host) as client:
        await first.accounts.register(LOGIN["email"], PASSWORD)
        assert (await client.post("/one/login", json=LOGIN | {"mode": "jwt"})).status_code == 200
        assert (await client.post("/two/login", json=LOGIN | {"mode": "jwt"})).status_code == 401


@pytest.mark.parametrize("root", ["/site", "/site/", "/a/b/"])
async def test_below_a_root_path(root: str) -> None:
    """The server's root path, with a slash at its end or without, is before every path that a browser is told."""
    auth = Auth("memory://", secret=SECRET, password_hasher=hasher())
    app = alone(auth)
    shown = root.rstrip("/")
    async with app.router.lifespan_context(app), plain(app, root_path=root) as client:
        # As servers do it: what they were told, and then the path as it came.
        response = await client.post(f"{root}/auth/register", json=LOGIN | {"mode": "jwt-cookie"})
        refresh = next(line for line in response.headers.get_list("set-cookie") if "refresh=ccr_" in line)
        assert f"; Path={shown}/auth/refresh;" in refresh
        assert (await client.get(f"{root}/")).headers["location"] == f"{shown}/auth/"
        response = await client.get(f"{root}/auth/devices", headers={"Accept": "text/html"})
        assert f'action="{shown}/auth/logout"' in response.text
        assert "//auth" not in response.text


async def test_hsts() -> None:
    """A year, and what the policy says otherwise; never on this machine, where other programs have the same host."""
    for said, sent in (("max-age=300; includeSubDomains", "max-age=300; includeSubDomains"), ("off", None)):
        auth = Auth("memory://", secret=SECRET, policy=Policy(hsts=said))
        for app in (alone(auth, prefix="/auth"), mounting(auth_app(auth))):
            for path in ("/auth/healthz", "/auth/nothing"):
                assert (await plain(app).get(path)).headers.get("strict-transport-security") == sent
    auth = Auth("memory://", secret=SECRET)
    for app in (alone(auth), mounting(auth_app(auth))):
        for host in ("localhost", "127.0.0.1:8443", "a.localhost", "[::1]"):
            response = await plain(app).get("/auth/healthz", headers={"Host": host})
            assert "strict-transport-security" not in response.headers
        assert "strict-transport-security" in (await plain(app).get("/auth/healthz")).headers


@pytest.mark.parametrize("said", ["", "max-age", "max-age=x", "max-age=1\r\nX: y", "includeSubDomains", "on"])
def test_what_is_no_hsts(said: str) -> None:
    """What browsers would not read is refused when the policy is made."""
    with pytest.raises(ConfigurationError, match=r"policy\.hsts"):
        Policy(hsts=said)


async def test_alone() -> None:
    """Key set and health are at the root too, and the root leads to the pages; everything else is under the prefix."""
    auth = Auth("memory://", secret=SECRET, password_hasher=hasher())
    app = alone(auth, service_keys=[SERVICE_KEY], prefix="/id")
    async with app.router.lifespan_context(app), plain(app) as client:
        assert auth.is_running
        for path in ("/.well-known/jwks.json", "/healthz", "/readyz", "/metrics"):
            for prefix in ("", "/id"):
                key = {"Authorization": f"Bearer {SERVICE_KEY}"} if (prefix, path) == ("/id", "/metrics") else {}
                response = await client.get(f"{prefix}{path}", headers=key)
                assert response.status_code == 200
                assert "includeSubDomains" in response.headers["strict-transport-security"]
        for path in ("/", "/id"):
            response = await client.get(path)
            assert (response.status_code, response.headers["location"]) == (303, "/id/")
        assert (await client.get("/id/login", headers={"Accept": "text/html"})).status_code == 200
        assert (await client.get("/id/openapi.json")).json()["servers"] == [{"url": "/id"}]
        assert (await client.post("/id/register", json=LOGIN)).status_code == 201
        assert 'route="/register",status="201"} 1.0' in (await client.get("/metrics")).text
        for path in ("/session", "/openapi.json", "/docs", "/nowhere"):
            response = await client.get(path)
            assert response.json()["code"] == "not_found"
            assert response.headers["x-content-type-options"] == "nosniff"
    assert not auth.is_running


@pytest.mark.parametrize("prefix", ["", "/", "auth", "/auth/"])
def test_a_prefix_that_is_none(prefix: str) -> None:
    """Refused at the start, in words."""
    with pytest.raises(ConfigurationError, match="prefix"):
        alone(Auth("memory://"), prefix=prefix)


async def test_a_service_that_is_not_started() -> None:
    """It is alive and not ready, and answers everything else with 500."""
    app = FastAPI(openapi_url=None)
    app.mount("/auth", auth_app(Auth("memory://"), service_keys=[SERVICE_KEY]))
    async with plain(app, base="https://auth.test/auth") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        key = {"Authorization": f"Bearer {SERVICE_KEY}"}
        assert (await client.get("/metrics", headers=key)).status_code == 200
        response = await client.get("/session", headers={"Authorization": "Bearer x"})
        assert (response.status_code, response.headers["cache-control"]) == (500, "no-store")


ACCOUNT_ROUTES = {
    ("POST", "/register"), ("POST", "/login"), ("POST", "/reauthenticate"), ("POST", "/password"),
    ("GET", "/admin/subjects"), ("GET", "/admin/subjects/{id}"), ("PATCH", "/admin/subjects/{id}"),
    ("POST", "/admin/invitations"),
}  # fmt: skip


async def test_own_users() -> None:
    """An application with its own users has all routes but those about accounts."""
    everything = auth_app(Auth("memory://", secret=SECRET)).openapi()["paths"]
    all_routes = {(method.upper(), path) for path, item in everything.items() for method in item}
    facts = {"ada": SubjectFacts(roles=frozenset({"admin"})), "bob": SubjectFacts()}
    async with running("memory://", subjects=facts.get) as world:
        routes = {(method, path) for method, path, _ in world.contract.operations()}
        assert all_routes - routes == ACCOUNT_ROUTES
        ada, bob = await world.auth.login("ada", mode=Mode.JWT), await world.auth.login("bob", mode=Mode.SESSION)
        async with world.holder(ada) as client:
            session = (await client.get("/session")).json()
            assert session["subject"] == {"id": "ada", "email": None, "roles": ["admin"]}
            for method, path in ACCOUNT_ROUTES:
                response = await client.request(method, path.format(id="bob"), json={})
                assert response.status_code == 404
            response = await client.post("/refresh", json={"refresh_token": ada.refresh_token})
            assert response.json()["subject"]["email"] is None
            assert len((await client.get("/admin/subjects/bob/sessions")).json()["sessions"]) == 1
            assert (await client.post("/admin/subjects/bob/logout")).status_code == 204
        assert not await world.is_live(bob)


async def test_without_pages(gated: World) -> None:
    """The API alone: no page is served, and a form logs nobody in; one in a page of the application's logs out."""
    host = FastAPI(openapi_url=None)
    host.mount("/auth", auth_app(gated.auth, pages=False))
    async with plain(host, base="https://auth.test/auth") as client:
        assert (await client.post("/login", data=LOGIN)).status_code == 415
        own = {"Sec-Fetch-Site": "same-origin"}
        assert (await client.post("/login", json=LOGIN, headers=own)).status_code == 200
        refused = await client.post("/logout", data={"csrf_token": "ccf_x"}, headers=own)
        assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
        assert (await client.get("/session")).status_code == 200
        for path in ("/logout/others", "/logout"):
            response = await client.post(path, data={"next": "/bye"}, headers=own)
            assert (response.status_code, response.headers["location"]) == (303, "/bye")
        assert (await client.get("/session")).status_code == 401
        nobody = await client.post("/logout/others", data={"next": "/bye"}, headers=own)
        assert (nobody.status_code, nobody.json()["code"]) == (401, "not_logged_in")
        for path in ("/", "/signup", "/account", "/devices"):
            response = await client.get(path, headers={"Accept": "text/html"})
            assert response.headers["content-type"] == "application/problem+json"


async def test_pages_where_there_can_be_none() -> None:
    """Without mode ``session`` there are no pages, and the API works."""
    async with running("memory://", policy=Policy(modes=(Mode.JWT,))) as world, plain(world.app) as client:
        assert (await client.get("/auth/signup")).status_code == 404
        assert (await client.post("/auth/login", json=LOGIN)).status_code == 200


async def test_a_form_of_our_own_page_logs_in(gated: World) -> None:
    """The page's form at /login gets a page back: a redirect and the session cookie."""
    async with plain(gated.app) as client:
        response = await client.post("/auth/login", data=LOGIN)
        assert response.status_code == 303
        assert "__Host-coatcheck" in set_cookies(response)
        response = await client.get("/auth/account", headers={"Accept": "text/html"})
        assert response.status_code == 200
        assert response.headers["cross-origin-opener-policy"] == "same-origin"
        assert "strict-transport-security" in response.headers


async def test_logs_hold_no_secret(gated: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither passwords nor tokens nor service keys are in any log line, refusals included."""
    caplog.set_level(logging.DEBUG)
    secrets = [PASSWORD, OTHER_PASSWORD, SERVICE_KEY]
    async with gated.client() as client:
        for mode in MODES:
            credentials = await gated.login(mode)
            tokens = [credentials.session_token, credentials.access_token, credentials.refresh_token]
            secrets += [token for token in tokens if token]
            await client.post("/login", json=LOGIN | {"mode": mode.value, "password": OTHER_PASSWORD})
            await client.post("/login", json=LOGIN | {"mode": mode.value})
            client.cookies.clear()
            for path in ("/logout", "/refresh", "/session"):
                for token in (*secrets, *(f"{secret}x" for secret in secrets)):
                    headers = {"Authorization": f"Bearer {token}"}
                    await client.post(
                        path, json={"refresh_token": token} if path == "/refresh" else {}, headers=headers
                    )
                    await client.post(path, headers={"Cookie": f"__Host-coatcheck={token}"})
        await client.post(
            "/introspect", data={"token": secrets[-1]}, headers={"Authorization": f"Bearer {SERVICE_KEY}"}
        )
        gated.store.fail("find")
        await client.get("/session", headers=carried(credentials))
    text = "\n".join(str(record.__dict__) for record in caplog.records if record.name.startswith("coatcheck"))
    assert "credential.refused" in text
    assert not [secret for secret in secrets if secret in text]


def test_versions_agree() -> None:
    """The document says which version serves it."""
    document = auth_app(Auth("memory://")).openapi()
    assert document["info"]["version"] == importlib.metadata.version("coatcheck")
