"""Litestar's JWTAuth. See https://docs.litestar.dev/2/usage/security/jwt.html."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Litestar, Request, get
from litestar.connection import ASGIConnection
from litestar.security.jwt import JWTAuth, Token
from shared import HELLO, SECRET, USERS, run, serve


@dataclass
class User:
    name: str
    roles: list[str]


users = {name: User(name, ["reader", "editor"]) for name in USERS}


async def retrieve_user(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
    return users.get(token.sub)


jwt_auth = JWTAuth[User](retrieve_user_handler=retrieve_user, token_secret=SECRET, exclude=["/login", "/schema"])


@get("/")
async def hello(request: Request[User, Token, Any]) -> dict[str, object]:
    return HELLO


async def log_in(user: str) -> str:
    answer = jwt_auth.login(identifier=user, token_extras={"roles": ["reader", "editor"]})
    return f"Authorization: {answer.headers['Authorization']}"


app = Litestar([hello], on_app_init=[jwt_auth.on_app_init], logging_config=None)

if __name__ == "__main__":
    run(serve(app, ["litestar", "pyjwt", "msgspec"], log_in))
