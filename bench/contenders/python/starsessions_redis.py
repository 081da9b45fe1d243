"""Starlette with starsessions and its Redis store. See https://github.com/alex-oleshkevich/starsessions.

The view loads the session itself, which its page recommends for speed; the session's identifier is made anew at login.
"""

from __future__ import annotations

from redis.asyncio import Redis
from shared import HELLO, REDIS_URL, log_in_at, run, serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starsessions import SessionMiddleware, load_session, regenerate_session_id
from starsessions.stores.redis import RedisStore


async def hello(request: Request) -> JSONResponse:
    await load_session(request)
    if request.session.get("user") is None:
        raise HTTPException(401)
    return JSONResponse(HELLO)


async def login(request: Request) -> Response:
    await load_session(request)
    request.session.update(user=request.query_params["user"], roles=["reader", "editor"])
    regenerate_session_id(request)
    return Response(status_code=204)


async def log_in(user: str) -> str:
    return await log_in_at("/login", user)


store = RedisStore(connection=Redis.from_url(REDIS_URL))
app = Starlette(
    routes=[Route("/", hello), Route("/login", login, methods=["POST"])],
    middleware=[Middleware(SessionMiddleware, store=store, lifetime=3600 * 24 * 14)],
)

if __name__ == "__main__":
    run(serve(app, ["starlette", "starsessions", "redis", "hiredis"], log_in))
