"""An application whose Auth does not run says which of the usual reasons it is, and what to write."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient
from litestar import Litestar, get
from litestar import Request as LitestarRequest
from litestar.testing import AsyncTestClient
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from coatcheck import Auth
from coatcheck.fastapi import CurrentUser, auth_app, lifespans, mount_auth
from coatcheck.fastapi import auth_of as fastapi_auth_of
from coatcheck.litestar import CoatcheckPlugin
from coatcheck.litestar import auth_of as litestar_auth_of
from coatcheck.starlette import mount_auth as mount_starlette
from coatcheck.testing import running

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would have another client than httpx
    from starlette.testclient import TestClient

NOT_STARTED = "the Auth of this application is not running, because the application's lifespan has not run: in a test"
BESIDE = "the Auth of this application runs, but was not started by the application's lifespan"
NONE = r"no Auth here: call mount_auth\(app, \.\.\.\) for the outermost application, or make it with lifespan="
ENTER = r".*`with TestClient\(app\) as client:`; httpx.ASGITransport runs no lifespan, so `async with coatcheck.testing"


def _routed(app: FastAPI) -> FastAPI:
    """With the routes in a router, as they are in anything that grows."""
    routes = APIRouter()

    @routes.get("/who")
    async def who(user: CurrentUser) -> str:
        return user.subject

    @routes.get("/auth-of")
    async def its_auth(request: Request) -> str:
        return repr(fastapi_auth_of(request))

    app.include_router(routes)
    return app


def _mounted() -> FastAPI:
    app = FastAPI()
    mount_auth(app, "memory://")
    return _routed(app)


@pytest.mark.parametrize("path", ["/who", "/auth-of"])
def test_a_client_that_was_not_entered(path: str) -> None:
    """The most usual reason; entered, all is well."""
    app = _mounted()
    with pytest.raises(RuntimeError, match=NOT_STARTED + ENTER):
        TestClient(app).get(path)
    with TestClient(app) as client:
        assert client.get(path).status_code in (200, 401)


async def test_a_transport_runs_no_lifespan() -> None:
    """And what the message says instead does."""
    app = _mounted()
    async with AsyncClient(transport=ASGITransport(app), base_url="http://testserver") as client:
        with pytest.raises(RuntimeError, match=NOT_STARTED + ENTER):
            await client.get("/who")
    async with (
        running(app) as served,
        AsyncClient(transport=ASGITransport(served), base_url="http://testserver") as client,
    ):
        assert (await client.get("/who")).status_code == 401


async def test_started_beside_the_application() -> None:
    """A request finds it by the lifespan only."""
    app = FastAPI()
    auth = mount_auth(app, "memory://")
    async with auth, AsyncClient(transport=ASGITransport(_routed(app)), base_url="http://testserver") as client:
        with pytest.raises(RuntimeError, match=BESIDE + ENTER):
            await client.get("/auth-of")


def test_nothing_was_mounted() -> None:
    """Both reasons, as far as it cannot be told which it is."""

    async def its_auth(request: Request) -> PlainTextResponse:
        return PlainTextResponse(repr(fastapi_auth_of(request)))

    for app in (_routed(FastAPI()), Starlette(routes=[Route("/auth-of", its_auth)])):
        with pytest.raises(RuntimeError, match=NONE + ENTER):
            TestClient(app).get("/auth-of")
        with TestClient(app) as client, pytest.raises(RuntimeError, match=NONE + ENTER):
            client.get("/auth-of")


def test_made_with_the_lifespan() -> None:
    """Seen as well, where nothing stands around it."""
    app = _routed(FastAPI())
    app.router.lifespan_context = Auth("memory://").lifespan
    with pytest.raises(RuntimeError, match=NOT_STARTED):
        TestClient(app).get("/auth-of")


def test_mounted_by_hand() -> None:
    """Whoever mounts the service must also give the lifespan, and is told so."""
    auth = Auth("memory://")
    for app in (FastAPI(), FastAPI(lifespan=lifespans(auth.lifespan))):
        app.mount("/auth", auth_app(auth))
        with pytest.raises(
            RuntimeError, match="without mount_auth, the outermost application also needs lifespan=auth"
        ):
            TestClient(_routed(app)).get("/auth-of")


def test_starlette_says_the_same() -> None:
    """Of what is mounted further in, too."""

    async def its_auth(request: Request) -> PlainTextResponse:
        return PlainTextResponse(repr(fastapi_auth_of(request)))

    app = Starlette(routes=[Route("/auth-of", its_auth), Mount("/in", Starlette(routes=[Route("/x", its_auth)]))])
    mount_starlette(app, "memory://")
    with pytest.raises(RuntimeError, match=NOT_STARTED):
        TestClient(app).get("/auth-of")
    with pytest.raises(RuntimeError, match=NONE + ENTER):
        TestClient(app).get("/in/x")
    with TestClient(app) as client:
        assert client.get("/in/x").text == "<Auth running>"


async def test_litestar_names_its_plugins() -> None:
    """And a client of its that was not entered says that nothing runs."""

    @get("/auth-of")
    async def its_auth(request: LitestarRequest[Any, Any, Any]) -> str:
        return repr(litestar_auth_of(request))

    @get("/revoke")
    async def revoke(request: LitestarRequest[Any, Any, Any]) -> None:
        await litestar_auth_of(request).revoke("x")

    async with AsyncTestClient(Litestar([its_auth], debug=True)) as client:
        assert "no Auth here: make the application with Litestar(plugins=[ServicePlugin(...)])" in (
            await client.get("/auth-of")
        ).text.replace("&quot;", '"')
    app = Litestar([revoke], plugins=[CoatcheckPlugin(Auth("memory://"))], debug=True)
    said = LitestarClient(app).get("/revoke").text
    assert "this Auth is not running: its application" in said
    assert "with TestClient(app) as client" in said
