"""Starlette with Coatcheck: ``coatcheck_starlette.py session | jwt | jwt-cookie``. See docs/starlette.md."""

from __future__ import annotations

import bare_starlette
from shared import HELLO, run, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from with_coatcheck import logging_in, make_auth

from coatcheck.starlette import logged_in, mount_auth


@logged_in
async def hello(request: Request) -> JSONResponse:
    return JSONResponse(HELLO)


app = Starlette(routes=[Route("/", hello)])
auth = mount_auth(app, make_auth())

if __name__ == "__main__":
    run(serve(app, ["starlette"], logging_in(auth), bare=bare_starlette.app))
