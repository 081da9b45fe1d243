"""Starlette without authentication."""

from __future__ import annotations

from shared import HELLO, run, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    return JSONResponse(HELLO)


app = Starlette(routes=[Route("/", hello)])

if __name__ == "__main__":
    run(serve(app, ["starlette"]))
