"""FastAPI: the dependencies, one of them on a router; `mount_auth`, or for a prefix another application around it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header

from coatcheck import Auth, Identity
from coatcheck.fastapi import CurrentUser, OptionalUser, auth_app, fresh, mount_auth, requires
from tests.adapters.apps.asgi import described
from tests.adapters.apps.support import ServedASGI, served
from tests.adapters.suite.contract import Setting

router = APIRouter()
dangerous = APIRouter(dependencies=[fresh(minutes=5)])


@router.get("/open")
@router.post("/open")
async def public(user: OptionalUser) -> dict[str, str | None]:
    return {"subject": user.subject if user else None}


@router.get("/mine")
@router.post("/mine")
async def mine(user: CurrentUser) -> dict[str, object]:
    return described(user)


@router.get("/theirs")
@router.post("/theirs")
async def theirs(authorization: Annotated[str, Header()]) -> dict[str, str]:
    return {"authorization": authorization}


@router.get("/theirs/mine")
async def theirs_mine(user: CurrentUser) -> dict[str, object]:
    return described(user)


@router.get("/admin")
async def admin(user: Annotated[Identity, requires("admin")]) -> dict[str, object]:
    return described(user)


@dangerous.post("/danger")
async def danger(user: CurrentUser) -> dict[str, object]:
    return described(user)


def serving(setting: Setting) -> AbstractAsyncContextManager[ServedASGI]:
    auth, inner = Auth(**setting.arguments()), FastAPI()
    inner.include_router(router)
    inner.include_router(dangerous)
    if not setting.prefix:
        mount_auth(inner, auth)
        return served(inner, auth, behind_proxy=setting.behind_proxy)
    inner.mount("/auth", auth_app(auth))
    app = FastAPI(lifespan=auth.lifespan)
    app.mount(setting.prefix, inner)
    return served(app, auth, behind_proxy=setting.behind_proxy)
