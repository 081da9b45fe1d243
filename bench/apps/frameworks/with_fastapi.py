"""FastAPI: a dependency; without authentication, one that does nothing."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI
from shared import ANSWER, GUARDED, asynchronous, logged_in

from coatcheck.fastapi import CurrentUser

auth = asynchronous()
app = FastAPI(lifespan=lambda app: logged_in(auth, auth.lifespan(app)))


async def nothing() -> None: ...


async def guarded(user: CurrentUser) -> dict[str, object]:
    return ANSWER


async def bare(user: Annotated[None, Depends(nothing)]) -> dict[str, object]:
    return ANSWER


app.get("/")(guarded if GUARDED else bare)
