"""Plain ASGI: the middleware, and a few lines in the place of a framework."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager

from coatcheck import Auth, Identity
from coatcheck.adapters.asgi import IDENTITY, ASGIApp, AuthMiddleware, Receive, Scope, Send, header, refuse
from coatcheck.adapters.demands import LOGGED_IN, Demand, fresh, requires
from coatcheck.adapters.problems import problem_of
from coatcheck.asgi import auth_app
from coatcheck.errors import CoatcheckError
from tests.adapters.apps.support import ServedASGI, served
from tests.adapters.suite.contract import Setting

DEMANDS: dict[str, Demand | None] = {
    "/open": None, "/mine": LOGGED_IN, "/admin": requires("admin"), "/danger": fresh(minutes=5),
    "/theirs/mine": LOGGED_IN,
}  # fmt: skip


def routes(auth: Auth) -> ASGIApp:
    """What is behind the middleware."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == "/theirs":
            await answer(scope, send, 200, {"authorization": header(scope, b"authorization").decode()})
            return
        if path not in DEMANDS:
            await answer(scope, send, 404, None)
            return
        identity: Identity | None = scope[IDENTITY]
        demand = DEMANDS[path]
        if demand is None:
            await answer(scope, send, 200, {"subject": identity and identity.subject})
            return
        try:
            await answer(scope, send, 200, described(demand.check(identity, auth.clock)))
        except CoatcheckError as error:
            await refuse(scope, send, problem_of(error))

    return app


def described(identity: Identity) -> dict[str, object]:
    return {
        "subject": identity.subject,
        "session": identity.session_id,
        "mode": identity.mode,
        "roles": sorted(identity.roles),
    }


async def answer(scope: Scope, send: Send, status: int, value: object) -> None:
    body = b"" if scope["method"] == "HEAD" else json.dumps(value).encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def application(auth: Auth, prefix: str) -> ASGIApp:
    """Everything together: the lifespan, the service at /auth, the routes behind the middleware."""
    service, guarded = auth_app(auth), AuthMiddleware(routes(auth), auth, exclude=["/theirs"])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with auth.lifespan() as state:
                scope["state"].update(state)
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["path"].startswith(f"{prefix}/auth/"):
            await service({**scope, "root_path": f"{prefix}/auth"}, receive, send)
        else:
            await guarded({**scope, "root_path": prefix}, receive, send)

    return app


def serving(setting: Setting) -> AbstractAsyncContextManager[ServedASGI]:
    auth = Auth(**setting.arguments())
    return served(application(auth, setting.prefix), auth, behind_proxy=setting.behind_proxy)
