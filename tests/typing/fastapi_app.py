"""A FastAPI application that uses everything of its adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, assert_type

from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from fastapi.responses import RedirectResponse

from coatcheck import Auth, Identity, RemoteVerifier
from coatcheck.fastapi import (
    CurrentUser,
    OptionalUser,
    Profile,
    Refusal,
    auth_of,
    current_user,
    fresh,
    lifespans,
    mount_auth,
    on_refusal,
    optional_user,
    page_for,
    requires,
)

Admin = Annotated[Identity, requires("admin")]


@asynccontextmanager
async def own(app: FastAPI) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def with_state(app: FastAPI) -> AsyncIterator[dict[str, int]]:
    yield {"answer": 42}


auth = Auth("memory://")
app = FastAPI(lifespan=lifespans(auth.lifespan, own, with_state), dependencies=[requires("staff")])
remote = FastAPI(lifespan=RemoteVerifier("https://auth.example.com/auth", service_key="x" * 32).lifespan)
router = APIRouter(dependencies=[requires("editor", "author"), fresh(minutes=5)])
app.add_exception_handler(Refusal, on_refusal)


@remote.exception_handler(Refusal)
async def refused(request: Request, error: Refusal) -> Response:
    page = page_for(request.scope, error.problem, renew="/auth/login")
    return RedirectResponse(page, 303) if page else await on_refusal(request, error)


assert_type(mount_auth(FastAPI(lifespan=own)), Auth)
assert_type(mount_auth(FastAPI(), auth, prefix="/login", pages=False), Auth)


@app.get("/")
async def home(user: OptionalUser) -> str:
    assert_type(user, Identity | None)
    if user is None:
        return "nobody"
    profile = await auth.profile(user)
    assert_type(profile, Profile)
    assert_type((profile.subject, profile.email, profile.name, profile.shown), tuple[str, str, str, str])
    return profile.shown


@app.get("/me")
def me(user: CurrentUser, request: Request) -> list[str]:
    assert_type(user, Identity)
    assert_type(auth_of(request), Auth)
    return sorted(user.roles)


@router.post("/danger", dependencies=[fresh(minutes=0.5)])
async def danger(user: Admin) -> str:
    assert_type(user, Identity)
    return user.session_id


@app.websocket("/live")
async def live(websocket: WebSocket, user: CurrentUser) -> None:
    assert_type(user, Identity)
    assert_type(auth_of(websocket), Auth)
    await websocket.accept()


async def called(request: Request) -> None:
    assert_type(await current_user(request), Identity)
    assert_type(await optional_user(request), Identity | None)
