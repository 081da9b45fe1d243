"""Starlette's AuthenticationMiddleware with PyJWT: ``starlette_pyjwt.py HS256 | RS256``.

The backend is written as https://www.starlette.io/authentication/ shows, the tokens as
https://pyjwt.readthedocs.io/en/stable/usage.html does. The RSA key is a key object, as PyJWT's key sets give it:
parsing the PEM text anew for each request would be slower.
"""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from shared import HELLO, SECRET, run, serve
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
    requires,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ALGORITHM = sys.argv[1]
ISSUER = "https://auth.example.com"
AUDIENCE = "https://api.example.com"
private = rsa.generate_private_key(65537, 2048) if ALGORITHM == "RS256" else SECRET
public = SECRET if isinstance(private, str) else private.public_key()


class BearerBackend(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        if "Authorization" not in conn.headers:
            return None
        scheme, _, token = conn.headers["Authorization"].partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            claims = jwt.decode(token, public, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER)
        except jwt.InvalidTokenError as error:
            raise AuthenticationError("Invalid token") from error
        return AuthCredentials(["authenticated", *claims["roles"]]), SimpleUser(claims["sub"])


def on_error(conn: HTTPConnection, error: AuthenticationError) -> Response:
    return JSONResponse({"error": str(error)}, status_code=401)


@requires("authenticated", status_code=401)
async def hello(request: Request) -> JSONResponse:
    return JSONResponse(HELLO)


async def log_in(user: str) -> str:
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user,
        "sid": str(uuid.uuid4()),
        "jti": str(uuid.uuid4()),
        "iat": now,
        "exp": now + timedelta(hours=12),
        "roles": ["reader", "editor"],
    }
    return f"Authorization: Bearer {jwt.encode(claims, private, algorithm=ALGORITHM)}"


app = Starlette(
    routes=[Route("/", hello)],
    middleware=[Middleware(AuthenticationMiddleware, backend=BearerBackend(), on_error=on_error)],
)

if __name__ == "__main__":
    run(serve(app, ["starlette", "pyjwt", "cryptography"], log_in))
