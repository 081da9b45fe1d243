"""crudauth on FastAPI, with SQLAlchemy on SQLite: ``crudauth_app.py session | bearer``.

As https://benavlabs.github.io/crudauth/getting-started/ shows, with its state in Redis, as
https://benavlabs.github.io/crudauth/cookbook/going-to-production/ recommends: ``redis_url`` names it for everything.
Credentials are made without a password, since bcrypt for a thousand takes minutes: a session as "A login of your own"
in https://benavlabs.github.io/crudauth/guides/auth/sessions/ does, a token by ``issue_tokens``, as its docstring does.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from crudauth import BearerTransport, CRUDAuth, Principal, SessionTransport
from crudauth.models import AuthUserMixin
from fastapi import Depends, FastAPI, Request, Response
from shared import HELLO, REDIS_URL, SCRATCH, SECRET, USERS, log_in_at, run, serve
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

MODE = sys.argv[1]


class Base(DeclarativeBase): ...


class User(Base, AuthUserMixin):  # type: ignore[misc,valid-type]  # it is made at run time
    __tablename__ = "users"


engine = create_async_engine(f"sqlite+aiosqlite:///{SCRATCH}/users.db")
async_session_maker = async_sessionmaker(engine, expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with async_session_maker() as session:
        yield session


auth = CRUDAuth(
    session=get_session,
    user_model=User,
    SECRET_KEY=SECRET,
    transports=[SessionTransport() if MODE == "session" else BearerTransport()],
    redis_url=REDIS_URL,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with async_session_maker() as session:
        session.add_all(User(email=f"{name}@example.com", username=name, hashed_password="!") for name in USERS)
        await session.commit()
    await auth.initialize()
    yield
    await auth.shutdown()


app = FastAPI(lifespan=lifespan)
app.include_router(auth.router)


@app.get("/")
async def hello(user: Annotated[Principal, Depends(auth.current_user())]) -> dict[str, object]:
    return HELLO


async def user_called(name: str, db: AsyncSession) -> Any:
    return (await db.execute(select(User).where(User.username == name))).scalar_one()


@app.post("/enter")
async def enter(
    user: str, request: Request, response: Response, db: Annotated[AsyncSession, Depends(get_session)]
) -> None:
    account = await user_called(user, db)
    session_id, csrf_token = await auth.sessions.create_session(
        request, user_id=account.id, token_version=account.token_version
    )
    auth.sessions.set_session_cookies(response, session_id, csrf_token)


async def log_in(user: str) -> str:
    if MODE == "session":
        return await log_in_at("/enter", user)
    async with async_session_maker() as db:
        return f"Authorization: Bearer {auth.issue_tokens(await user_called(user, db))['access_token']}"


if __name__ == "__main__":
    with_versions = ["fastapi", "starlette", "crudauth", "sqlalchemy", "aiosqlite", "pyjwt", "redis", "hiredis"]
    run(serve(app, with_versions, log_in))
