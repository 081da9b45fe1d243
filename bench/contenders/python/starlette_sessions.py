"""Starlette's own sessions: everything is in a signed cookie. See https://www.starlette.io/middleware/."""

from __future__ import annotations

from shared import HELLO, SECRET, log_in_at, run, serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    if request.session.get("user") is None:
        raise HTTPException(401)
    return JSONResponse(HELLO)


async def login(request: Request) -> Response:
    request.session.update(user=request.query_params["user"], roles=["reader", "editor"])
    return Response(status_code=204)


async def log_in(user: str) -> str:
    return await log_in_at("/login", user)


app = Starlette(
    routes=[Route("/", hello), Route("/login", login, methods=["POST"])],
    middleware=[Middleware(SessionMiddleware, secret_key=SECRET, https_only=True)],
)

if __name__ == "__main__":
    run(serve(app, ["starlette", "itsdangerous"], log_in))
