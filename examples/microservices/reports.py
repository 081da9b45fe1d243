"""The same with plain Starlette."""

import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck.asgi import IDENTITY, AuthMiddleware, RemoteVerifier

auth = RemoteVerifier(os.environ["ISSUER"], service_key=os.environ["SERVICE_KEY"])


async def reports(request: Request) -> Response:
    user = request.scope[IDENTITY]
    return JSONResponse({"reports for": user.subject if user else "nobody"})


app = Starlette(
    routes=[Route("/reports", reports)],
    middleware=[Middleware(AuthMiddleware, auth=auth)],
    lifespan=auth.lifespan,
)
