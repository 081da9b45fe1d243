"""Starlette: the middleware, and a decorator of the endpoint."""

from __future__ import annotations

from shared import ANSWER, GUARDED, asynchronous, logged_in
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coatcheck.starlette import AuthMiddleware
from coatcheck.starlette import logged_in as somebody

auth = asynchronous()


async def hello(request: Request) -> JSONResponse:
    return JSONResponse(ANSWER)


app = Starlette(
    routes=[Route("/", somebody(hello) if GUARDED else hello)],
    middleware=[Middleware(AuthMiddleware, auth=auth)] if GUARDED else [],
    lifespan=lambda app: logged_in(auth, auth.lifespan()),
)
