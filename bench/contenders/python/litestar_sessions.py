"""Litestar's SessionAuth over server-side sessions in Redis.

See https://docs.litestar.dev/2/usage/security/security-backends.html and
https://docs.litestar.dev/2/usage/middleware/builtin-middleware.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.connection import ASGIConnection
from litestar.middleware.session.server_side import ServerSideSessionBackend, ServerSideSessionConfig
from litestar.security.session_auth import SessionAuth
from litestar.stores.redis import RedisStore
from shared import HELLO, REDIS_URL, USERS, log_in_at, run, serve


@dataclass
class User:
    name: str
    roles: list[str]


users = {name: User(name, ["reader", "editor"]) for name in USERS}


async def retrieve_user(session: dict[str, Any], connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
    return users.get(session.get("user_id", ""))


session_auth = SessionAuth[User, ServerSideSessionBackend](
    retrieve_user_handler=retrieve_user,
    session_backend_config=ServerSideSessionConfig(),
    exclude=["/login", "/schema"],
)


@get("/")
async def hello(request: Request[User, dict[str, Any], Any]) -> dict[str, object]:
    return HELLO


@post("/login")
async def login(request: Request[User, dict[str, Any], Any], user: str) -> None:
    request.set_session({"user_id": users[user].name})


async def log_in(user: str) -> str:
    return await log_in_at("/login", user)


app = Litestar(
    [hello, login],
    on_app_init=[session_auth.on_app_init],
    logging_config=None,
    stores={"sessions": RedisStore.with_client(url=REDIS_URL)},
)

if __name__ == "__main__":
    run(serve(app, ["litestar", "redis", "hiredis", "msgspec"], log_in))
