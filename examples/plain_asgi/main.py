"""The middleware around an application that uses no framework. Starlette only mounts and runs the lifespan."""

import json

from starlette.applications import Starlette
from starlette.routing import Mount

from coatcheck.asgi import IDENTITY, Auth, AuthMiddleware, Receive, Scope, Send, auth_app

auth = Auth("sqlite:///app.db")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    identity = scope[IDENTITY]
    status = 200 if identity else 401
    body = json.dumps({"who": identity.subject if identity else None}).encode()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = Starlette(
    lifespan=auth.lifespan,
    routes=[Mount("/auth", auth_app(auth)), Mount("/", AuthMiddleware(hello, auth))],
)
