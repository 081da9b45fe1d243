"""fastapi-users: ``fastapi_users_app.py session | jwt  sqlite | memory``.

As https://fastapi-users.github.io/fastapi-users/latest/configuration/full-example/ shows, with SQLAlchemy on SQLite.
``session``: a cookie and the Redis strategy; ``jwt``: a bearer token and the JWT strategy, as the example has it.
``memory`` is a favour: the same with users in a dict, so that nothing but its own work is measured.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import redis.asyncio
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import (
    AuthenticationBackend,
    BearerTransport,
    CookieTransport,
    JWTStrategy,
    RedisStrategy,
    Strategy,
)
from fastapi_users.db import BaseUserDatabase, SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from shared import HELLO, REDIS_URL, SCRATCH, SECRET, USERS, run, serve
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

MODE, USERS_ARE_IN = sys.argv[1:]


class Base(DeclarativeBase): ...


class User(SQLAlchemyBaseUserTableUUID, Base): ...


engine = create_async_engine(f"sqlite+aiosqlite:///{SCRATCH}/users.db")
async_session_maker = async_sessionmaker(engine, expire_on_commit=False)
users: dict[uuid.UUID, User] = {}


class UsersInMemory(BaseUserDatabase[User, uuid.UUID]):
    async def get(self, id: uuid.UUID) -> User | None:
        return users.get(id)


async def get_async_session() -> AsyncIterator[AsyncSession]:
    async with async_session_maker() as session:
        yield session


async def in_sqlite(session: Annotated[AsyncSession, Depends(get_async_session)]) -> AsyncIterator[Any]:
    yield SQLAlchemyUserDatabase(session, User)


async def in_memory() -> AsyncIterator[Any]:
    yield UsersInMemory()


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def get_user_manager(
    users: Annotated[Any, Depends(in_sqlite if USERS_ARE_IN == "sqlite" else in_memory)],
) -> AsyncIterator[UserManager]:
    yield UserManager(users)


store = redis.asyncio.from_url(REDIS_URL, decode_responses=True)


def get_strategy() -> Strategy[User, uuid.UUID]:
    if MODE == "session":
        return RedisStrategy(store, lifetime_seconds=3600)
    return JWTStrategy(secret=SECRET, lifetime_seconds=3600)


transport = CookieTransport(cookie_max_age=3600) if MODE == "session" else BearerTransport(tokenUrl="auth/jwt/login")
auth_backend = AuthenticationBackend(name=MODE, transport=transport, get_strategy=get_strategy)
fastapi_users = FastAPIUsers[User, uuid.UUID](get_user_manager, [auth_backend])
current_active_user = fastapi_users.current_user(active=True)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Everybody has an account, with a password that nobody can present: hashing a thousand takes minutes."""
    for name in USERS:
        flags = {"is_active": True, "is_superuser": False, "is_verified": True}
        user = User(id=uuid.uuid4(), email=f"{name}@example.com", hashed_password="!", **flags)
        users[user.id] = user
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with async_session_maker() as session:
        session.add_all(users.values())
        await session.commit()
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(fastapi_users.get_auth_router(auth_backend), prefix="/auth", tags=["auth"])


@app.get("/")
async def hello(user: Annotated[User, Depends(current_active_user)]) -> dict[str, object]:
    return HELLO


async def log_in(name: str) -> str:
    user = next(user for user in users.values() if user.email == f"{name}@example.com")
    token = await get_strategy().write_token(user)
    return f"Cookie: fastapiusersauth={token}" if MODE == "session" else f"Authorization: Bearer {token}"


if __name__ == "__main__":
    with_versions = ["fastapi", "starlette", "fastapi-users", "sqlalchemy", "aiosqlite"]
    run(serve(app, [*with_versions, *(["redis", "hiredis"] if MODE == "session" else ["pyjwt"])], log_in))
