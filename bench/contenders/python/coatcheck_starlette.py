"""Starlette with Coatcheck: ``coatcheck_starlette.py session | jwt | jwt-cookie``. See docs/starlette.md."""

from __future__ import annotations

import bare_starlette
from shared import HELLO, run, serve
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from with_coatcheck import MODE, header, make_auth

from coatcheck.adapters.starlette import AuthMiddleware, logged_in

auth = make_auth()


@logged_in
async def hello(request: Request) -> JSONResponse:
    return JSONResponse(HELLO)


async def log_in(user: str) -> str:
    return header(await auth.login(user, mode=MODE))


app = Starlette(routes=[Route("/", hello)], middleware=[Middleware(AuthMiddleware, auth=auth)], lifespan=auth.lifespan)

if __name__ == "__main__":
    run(serve(app, ["starlette"], log_in, bare=bare_starlette.app))
