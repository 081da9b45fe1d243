"""What only Litestar has: dependencies by name, guards, WebSockets, its own document, the service among its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from litestar import Litestar, Request, Response, Router, WebSocket, get, post, websocket
from litestar.config.app import AppConfig
from litestar.config.csrf import CSRFConfig
from litestar.config.response_cache import ResponseCacheConfig, default_cache_key_builder
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.middleware import MiddlewareProtocol
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromPath
from litestar.plugins import InitPlugin
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from coatcheck import Auth, Identity, Mode
from coatcheck.errors import ConfigurationError, NotLoggedIn
from coatcheck.litestar import (
    CoatcheckPlugin,
    CurrentUser,
    OptionalUser,
    ServicePlugin,
    auth_of,
    auth_routes,
    deliver,
    fresh,
    logged_in,
    requires,
)

EMAIL, PASSWORD = "ann@example.com", "nine brown owls"


@get("/open")
async def open_to_all(optional_user: OptionalUser) -> dict[str, str | None]:
    return {"subject": optional_user.subject if optional_user else None}


@get("/mine")
async def mine(current_user: CurrentUser) -> dict[str, str]:
    return {"subject": current_user.subject}


@get("/guarded", guards=[logged_in])
async def guarded(request: Request[Identity, Identity, Any]) -> dict[str, str]:
    assert request.auth is request.user
    return {"subject": request.user.subject, "sessions": str(auth_of(request).policy.modes[0])}


@post("/admin", guards=[requires("admin"), fresh(minutes=5)])
async def admin() -> None: ...


@get("/public", exclude_from_auth=True)
async def public(optional_user: OptionalUser) -> bool:
    return optional_user is None


async def team(current_user: CurrentUser) -> str:
    return f"team of {current_user.subject}"


@get("/team", dependencies={"team": team})
async def with_team(team: NamedDependency[str]) -> str:
    return team


@asynccontextmanager
async def client(app: Any, base: str = "https://app.example") -> AsyncIterator[httpx.AsyncClient]:
    """Asks an application that has been started."""
    origin = {"sec-fetch-site": "same-origin"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base, headers=origin) as web:
        yield web


def memory_auth() -> Auth:
    return Auth("memory://")


async def test_dependencies_and_guards() -> None:
    """One line sets up lifespan, middleware, dependencies, guards and answers to refusals."""
    app = Litestar([open_to_all, mine, guarded, admin, public, with_team], plugins=[ServicePlugin(memory_auth())])
    async with app.lifespan(), client(app) as web:
        assert (await web.get("/open")).json() == {"subject": None}
        for path in ("/mine", "/guarded", "/team"):
            refused = await web.get(path)
            assert (refused.status_code, refused.json()["code"]) == (401, "not_logged_in")
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["cache-control"] == "no-store"
            assert refused.headers["content-type"] == "application/problem+json"
        made = await web.post("/auth/register", json={"email": EMAIL, "password": PASSWORD, "mode": "jwt"})
        subject, bearer = made.json()["subject"]["id"], {"authorization": f"Bearer {made.json()['access_token']}"}
        for path in ("/open", "/mine", "/guarded"):
            assert (await web.get(path, headers=bearer)).json()["subject"] == subject
        assert (await web.get("/team", headers=bearer)).text == f"team of {subject}"
        assert (await web.get("/public", headers=bearer)).json() is True
        assert (await web.post("/admin", headers=bearer)).json()["code"] == "forbidden"
        refused = await web.get("/open", headers={"authorization": "Bearer nonsense"})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')


async def test_what_others_call_a_user() -> None:
    """Somebody else's ``request.user`` is nobody to us."""

    class Theirs(MiddlewareProtocol):
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            scope["user"] = "an anonymous user of theirs"
            await self.app(scope, receive, send)

    handlers = [
        get("/asked", exclude_from_auth=True)(mine.fn), get("/guarded", guards=[logged_in])(public.fn),
        get("/both", guards=[logged_in], exclude_from_auth=True)(public.fn),
    ]  # fmt: skip
    app = Litestar(handlers, plugins=[CoatcheckPlugin(memory_auth())], middleware=[Theirs])
    async with app.lifespan(), client(app) as web:
        for path in ("/asked", "/guarded", "/both"):
            assert (await web.get(path)).status_code == 401


class Stamping(InitPlugin):
    """Puts a middleware before all others, which adds a header to every answer."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        def stamped(app: ASGIApp) -> ASGIApp:
            async def answer(scope: Scope, receive: Receive, send: Send) -> None:
                async def stamp(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        message["headers"] = [*message["headers"], (b"x-stamp", b"yes")]
                    await send(message)

                await app(scope, receive, stamp)

            return answer

        app_config.middleware.insert(0, stamped)
        return app_config


@pytest.mark.parametrize("others", [[], [Stamping()]], ids=["alone", "with another before"])
async def test_exceptions_of_a_handler(others: list[Stamping]) -> None:
    """They are handled once, and what stands before us sees the answer, also when the credential was in memory."""

    @get("/fails")
    async def fails(current_user: CurrentUser) -> None:
        raise NotFoundException(current_user.subject)

    seen: list[Exception] = []

    async def note(error: Exception, scope: Scope) -> None:
        seen.append(error)

    auth = memory_auth()
    app = Litestar([fails], plugins=[ServicePlugin(auth), *others], after_exception=[note])
    async with app.lifespan(), client(app) as web:
        made = await web.post("/auth/register", json={"email": EMAIL, "password": PASSWORD, "mode": "jwt"})
        bearer = {"authorization": f"Bearer {made.json()['access_token']}"}
        for times in (1, 2, 3):  # looked at closely, then in memory
            answer = await web.get("/fails", headers=bearer)
            assert (answer.status_code, answer.json()["detail"]) == (404, made.json()["subject"]["id"])
            assert answer.headers.get("x-stamp") == ("yes" if others else None)
            assert len(seen) == times


async def test_answers_of_the_application_win() -> None:
    """An application says in Litestar's own way how it answers a refusal."""

    def to_login(request: Request[Any, Any, Any], error: NotLoggedIn) -> Response[None]:
        return Response(None, status_code=303, headers={"location": "/auth/login"})

    plugins = [CoatcheckPlugin(memory_auth())]
    app = Litestar([mine, admin], plugins=plugins, exception_handlers={NotLoggedIn: to_login})
    async with app.lifespan(), client(app) as web:
        assert (await web.get("/mine")).headers["location"] == "/auth/login"


async def test_document() -> None:
    """The application's own document names the schemes, keeps those that it has, and says which operations need one."""
    own = Components(security_schemes={"own": SecurityScheme(type="http", scheme="basic")})
    config = OpenAPIConfig(title="mine", version="1", components=own)
    handlers = [open_to_all, mine, guarded, admin, public, with_team]
    app = Litestar(handlers, plugins=[ServicePlugin(memory_auth())], openapi_config=config)
    document = app.openapi_schema.to_schema()
    schemes = document["components"]["securitySchemes"]
    assert set(schemes) == {"own", "sessionCookie", "accessCookie", "bearer"}
    assert schemes["sessionCookie"] | {"description": ""} == {
        "type": "apiKey", "in": "cookie", "name": "__Host-coatcheck", "description": "",
    }  # fmt: skip
    one_of: list[dict[str, list[str]]] = [{"sessionCookie": []}, {"accessCookie": []}, {"bearer": []}]
    ways = {path: next(iter(item.values())).get("security") for path, item in document["paths"].items()}
    locked = dict.fromkeys(("/mine", "/guarded", "/admin", "/team"), one_of)
    assert ways == locked | {"/open": [*one_of, {}], "/public": [*one_of, {}]}
    assert not any(path.startswith("/auth") for path in document["paths"])
    assert "sessionCookie" not in str(Litestar([public]).openapi_schema.to_schema())


@pytest.mark.parametrize(("app_path", "root_path"), [("", ""), ("/site", ""), ("", "/site"), ("/api", "/site")])
async def test_mounted_service(app_path: str, root_path: str) -> None:
    """The service answers below its path, wherever the application is; the refresh cookie goes to its route."""
    app = Litestar([mine], path=app_path, plugins=[ServicePlugin(memory_auth())])
    prefix = root_path + app_path

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        served: Any = app
        await served({**scope, "root_path": root_path}, receive, send)

    async with app.lifespan(), client(mounted) as web:
        body = {"email": EMAIL, "password": PASSWORD, "mode": "jwt-cookie"}
        made = await web.post(f"{prefix}/auth/register", json=body)
        assert made.status_code == 201, made.text
        cookies = {part.partition("=")[0]: part for part in made.headers.get_list("set-cookie")}
        assert f"Path={prefix}/auth/refresh;" in cookies["__Secure-coatcheck-refresh"] + ";"
        refreshed = await web.post(f"{prefix}/auth/refresh")
        assert refreshed.status_code == 200, refreshed.text
        assert (await web.get(f"{prefix}/mine")).status_code == 200
        assert (await web.get(f"{prefix}/auth/openapi.json")).json()["info"]["title"] == "Coatcheck"
        for home in (f"{prefix}/auth", f"{prefix}/auth/"):
            assert (await web.get(home)).headers["location"] == f"{prefix}/auth/account"
        web.cookies.clear()
        login = await web.get(f"{prefix}/auth/login")
        assert (login.status_code, f'action="{prefix}/auth/login"' in login.text) == (200, True)
        assert (await web.get(f"{prefix}/auth/nothing")).json()["code"] == "not_found"


async def test_service_takes_nothing_beside_it() -> None:
    """A path that only begins like the service's is the application's."""

    @get("/authors/{name:str}")
    async def author(name: FromPath[str]) -> str:
        return name

    app = Litestar([author], plugins=[ServicePlugin(memory_auth())])
    async with app.lifespan(), client(app) as web:
        assert (await web.get("/authors/ann")).text == "ann"


async def test_service_within_a_router() -> None:
    """`auth_routes` alone goes wherever route handlers go."""
    auth = memory_auth()
    app = Litestar(
        [Router("/v1", route_handlers=[auth_routes(auth, "/login-service")])], plugins=[CoatcheckPlugin(auth)]
    )
    async with app.lifespan(), client(app) as web:
        body = {"email": EMAIL, "password": PASSWORD, "mode": "jwt-cookie"}
        made = await web.post("/v1/login-service/register", json=body)
        assert "Path=/v1/login-service/refresh" in made.headers["set-cookie"]


async def test_nothing_comes_before_the_service() -> None:
    """A refresh with an access token that has ended, or without Litestar's own CSRF token, reaches the service."""
    auth = memory_auth()
    app = Litestar([mine], plugins=[ServicePlugin(auth)], csrf_config=CSRFConfig(secret="x" * 32))
    async with app.lifespan(), client(app) as web:
        body = {"email": EMAIL, "password": PASSWORD, "mode": "jwt"}
        made = (await web.post("/auth/register", json=body)).json()
        ended = {"authorization": "Bearer nonsense"}
        refreshed = await web.post("/auth/refresh", json={"refresh_token": made["refresh_token"]}, headers=ended)
        assert refreshed.status_code == 200, refreshed.text


@pytest.mark.parametrize("mode", [Mode.SESSION, Mode.JWT_COOKIE])
async def test_a_login_of_the_applications_own(mode: Mode) -> None:
    """`deliver` sets the cookies that the service would set, and refuses as it does where there can be none."""

    @post("/enter", status_code=200)
    async def enter(request: Request[Any, Any, Any]) -> Response[None]:
        return deliver(Response(None), request, await auth_of(request).login(subject, mode=mode), mount="/account")

    app = Litestar([enter, mine], plugins=[ServicePlugin(auth := memory_auth(), "/account")])
    async with app.lifespan(), client(app) as web:
        subject = (await auth.accounts.register(EMAIL, PASSWORD)).id
        body = {"email": EMAIL, "password": PASSWORD, "mode": mode.value}
        theirs = (await web.post("/account/login", json=body)).headers.get_list("set-cookie")
        web.cookies.clear()
        answer = await web.post("/enter")
        assert answer.headers["cache-control"] == "no-store"
        ours = answer.headers.get_list("set-cookie")
        assert [shape_of(text) for text in ours] == [shape_of(text) for text in theirs]
        assert (await web.get("/mine")).json() == {"subject": subject}
        async with client(app, "http://app.example") as plain:
            refused = await plain.post("/enter")
            assert (refused.status_code, refused.json()["code"]) == (400, "cookies_need_tls")


def shape_of(set_cookie: str) -> tuple[str, bool, frozenset[str]]:
    """A cookie but for its value."""
    pair, *attributes = set_cookie.lower().split("; ")
    name, _, value = pair.partition("=")
    return name, value.strip('"') == "", frozenset(attributes)


async def test_a_closed_application_can_be_logged_in_to() -> None:
    """A guard of the whole application guards everything but the service."""
    app = Litestar([mine, open_to_all], guards=[logged_in], plugins=[ServicePlugin(memory_auth())])
    async with app.lifespan(), client(app) as web:
        assert (await web.get("/open")).status_code == 401
        body = {"email": EMAIL, "password": PASSWORD, "mode": "session"}
        assert (await web.post("/auth/register", json=body)).status_code == 201
        assert (await web.get("/open")).status_code == 200


async def handshake(app: Any, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    """What an application answers to a WebSocket handshake."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "websocket", "scheme": "wss", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "subprotocols": [], "extensions": {},
        "headers": [(b"host", b"app.example"), *((k.encode(), v.encode()) for k, v in headers.items())],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_websockets() -> None:
    """A handshake that is refused is closed with 4000 + status: by middleware, guard and dependency alike."""

    @websocket("/free")
    async def free(socket: WebSocket[Any, Any, Any], optional_user: OptionalUser) -> None:
        await socket.accept(headers={"who": optional_user.subject if optional_user else "nobody"})

    @websocket("/asked")
    async def asked(socket: WebSocket[Any, Any, Any], current_user: CurrentUser) -> None:
        await socket.accept(headers={"who": current_user.subject})

    @websocket("/admin", guards=[requires("admin")])
    async def for_admins(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()

    auth = memory_auth()
    app = Litestar([free, asked, for_admins], plugins=[CoatcheckPlugin(auth)])
    async with app.lifespan():
        account = await auth.accounts.register(EMAIL, PASSWORD)
        made = await auth.login(account.id, mode=Mode.SESSION)
        cookie = {"cookie": f"__Host-coatcheck={made.session_token}"}
        ours, theirs = cookie | {"origin": "https://app.example"}, cookie | {"origin": "https://evil.example"}
        for path, headers, code in [
            ("/free", {}, None), ("/free", ours, None), ("/asked", ours, None),
            ("/free", theirs, 4403), ("/free", cookie, 4403), ("/free", {"authorization": "Bearer nonsense"}, 4401),
            ("/asked", {}, 4401), ("/admin", {}, 4401), ("/admin", ours, 4403),
        ]:  # fmt: skip
            (answer,) = await handshake(app, path, headers)
            assert (answer["type"] == "websocket.accept", answer.get("code")) == (code is None, code), (path, headers)


async def test_without_the_plugin_it_says_so() -> None:
    """An application that forgot the plugin is told what to write."""
    app = Litestar([guarded], debug=True)
    async with app.lifespan(), client(app) as web:
        assert "Litestar(plugins=[ServicePlugin(...)])" in (await web.get("/guarded")).text


@pytest.mark.parametrize("inherited", [True, False])
def test_answers_for_one_user_are_not_kept_for_others(inherited: bool) -> None:
    """A handler that asks for a user, in whatever way, has its answers cached for each user apart or not at all."""

    async def team(current_user: CurrentUser) -> str:
        return current_user.subject

    async def asks(current_user: CurrentUser) -> str:
        return current_user.subject

    async def asks_in_turn(team: NamedDependency[str]) -> str:
        return team

    async def wonders(optional_user: OptionalUser) -> bool:
        return optional_user is None

    async def anybody() -> str:
        return "the same"

    def by_user(request: Request[Any, Any, Any]) -> str:
        return f"{request.url} {request.user and request.user.session_id}"

    auth, dependencies = Auth("memory://"), {"team": team}
    for function in (asks, asks_in_turn, wonders):
        with pytest.raises(ConfigurationError, match="cache"):
            Litestar([get("/", cache=60)(function)], plugins=[CoatcheckPlugin(auth)], dependencies=dependencies)
        apart = ResponseCacheConfig(key_builder=by_user if inherited else default_cache_key_builder)
        handler = get("/", cache=True, cache_key_builder=None if inherited else by_user)(function)
        plugins = [CoatcheckPlugin(auth)]
        Litestar([handler], plugins=plugins, dependencies=dependencies, response_cache_config=apart)
    Litestar([get("/", cache=True)(anybody)], plugins=[CoatcheckPlugin(auth)])
