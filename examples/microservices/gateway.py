"""The gateway: one address for clients. It turns away at the door what has ended, and hands on what has not."""

import os
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck.asgi import IDENTITY, AuthMiddleware, RemoteVerifier

remote = RemoteVerifier(os.environ["ISSUER"], service_key=os.environ["SERVICE_KEY"])
SERVICES = {"orders": os.environ["ORDERS"], "reports": os.environ["REPORTS"]}


async def hand_on(request: Request) -> Response:
    """Each service verifies for itself: nothing behind the door trusts a header that says who somebody is."""
    service = request.path_params["service"]
    if request.scope[IDENTITY] is None or service not in SERVICES:
        return JSONResponse({"code": "not_logged_in"}, 401, {"WWW-Authenticate": "Bearer"})
    headers = {"Authorization": request.headers["authorization"]}
    async with httpx.AsyncClient(base_url=SERVICES[service]) as client:
        answer = await client.get(f"/{service}", headers=headers)
    return Response(answer.content, answer.status_code, {"Content-Type": answer.headers["content-type"]})


routes: list[Any] = [Route("/{service}", hand_on)]
app = Starlette(routes=routes, lifespan=remote.lifespan, middleware=[Middleware(AuthMiddleware, auth=remote)])
