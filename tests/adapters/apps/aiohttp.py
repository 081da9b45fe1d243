"""aiohttp, with the adapter that ``docs/custom.md`` writes: the code is taken from the page as it stands."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

import httpx
from aiohttp import web

from coatcheck import Auth, Identity
from coatcheck.adapters.demands import fresh, requires
from tests.adapters.suite.contract import Answer, Headers, Setting
from tests.docs.pages import ROOT, blocks_of

T = TypeVar("T")


@cache
def of_the_page(name: str) -> ModuleType:
    """A file of the page, executed. Its files import one another, so each is a module for as long as that takes."""
    (block,) = [block for block in blocks_of(ROOT / "docs" / "custom.md") if block.name == f"{name}.py"]
    module = ModuleType(name)
    needed = {other: of_the_page(other) for other in ("adapter",) if other != name}
    sys.modules.update(needed)
    try:
        exec(compile(block.text, f"docs/custom.md:{name}.py", "exec"), module.__dict__)
    finally:
        for other in needed:
            del sys.modules[other]
    return module


def routes() -> list[web.RouteDef]:
    adapter = of_the_page("adapter")
    current_user: Callable[..., Identity] = adapter.current_user

    async def open_to_all(request: web.Request) -> web.Response:
        user: Identity | None = request[adapter.USER]
        return web.json_response({"subject": user.subject if user else None})

    async def mine(request: web.Request) -> web.Response:
        return described(current_user(request))

    async def admin(request: web.Request) -> web.Response:
        return described(current_user(request, requires("admin")))

    async def danger(request: web.Request) -> web.Response:
        return described(current_user(request, fresh(minutes=5)))

    async def theirs(request: web.Request) -> web.Response:
        return web.json_response({"authorization": request.headers.get("Authorization")})

    async def theirs_mine(request: web.Request) -> web.Response:
        return described(current_user(request))

    for handler in (theirs, theirs_mine):
        handler.exempt = True  # type: ignore[attr-defined]  # as the page says

    return [
        web.get("/theirs", theirs), web.post("/theirs", theirs), web.get("/theirs/mine", theirs_mine),
        web.get("/open", open_to_all), web.post("/open", open_to_all), web.get("/mine", mine), web.post("/mine", mine),
        web.get("/admin", admin), web.post("/danger", danger),
    ]  # fmt: skip


def described(identity: Identity) -> web.Response:
    return web.json_response(
        {
            "subject": identity.subject,
            "session": identity.session_id,
            "mode": identity.mode.value,
            "roles": sorted(identity.roles),
        }
    )


class ServedAiohttp:
    """A real server with two ports. What comes by the second one came over TLS, so it is told."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._ports: dict[str, int] = {}
        self._client = httpx.AsyncHTTPTransport()

    @web.middleware
    async def tls(self, request: web.Request, handler: Callable[..., Awaitable[web.StreamResponse]]) -> Any:
        """What `web.Request.scheme` finds out by itself where the server holds the certificate."""
        assert request.transport is not None
        by_tls = request.transport.get_extra_info("sockname")[1] == self._ports["https"]
        return await handler(request.clone(scheme="https") if by_tls else request)

    async def start(self, app: web.Application) -> web.AppRunner:
        runner = web.AppRunner(app)
        await runner.setup()
        for scheme in ("http", "https"):
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._ports[scheme] = runner.addresses[-1][1]
        return runner

    async def request(
        self, method: str, path: str, *, headers: Headers = (), body: bytes = b"", base: str = "https://app.example"
    ) -> Answer:
        """See `Served.request`."""
        scheme, _, host = base.partition("://")
        sent = [("Host", host), *headers]
        request = httpx.Request(method, f"http://127.0.0.1:{self._ports[scheme]}{path}", headers=sent, content=body)
        response = await self._client.handle_async_request(request)
        content = await response.aread()
        await response.aclose()
        names = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw]
        return Answer(response.status_code, names, content)

    async def run(self, work: Callable[[Auth], Awaitable[T]]) -> T:
        """See `Served.run`."""
        return await work(self._auth)

    async def close(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def serving(setting: Setting) -> AsyncIterator[ServedAiohttp]:
    """See `contract.Serving`."""
    auth = Auth(**setting.arguments())
    served = ServedAiohttp(auth)
    app = web.Application(middlewares=[served.tls])
    if setting.behind_proxy:
        app.middlewares.append(of_the_page("proxied").behind_tls)
    of_the_page("adapter").setup(app, auth)
    of_the_page("mounted").mount(app, "/auth", auth)
    app.add_routes(routes())
    whole = app
    if setting.prefix:
        whole = web.Application()
        whole.add_subapp(setting.prefix, app)
    runner = await served.start(whole)
    try:
        yield served
    finally:
        await served.close()
        await runner.cleanup()
