"""FastAPI without authentication: ``bare_fastapi.py route | dependency``; the latter has one that does nothing."""

from __future__ import annotations

import sys
from typing import Annotated

from fastapi import Depends, FastAPI
from shared import HELLO, run, serve

plain = FastAPI()
dependent = FastAPI()


async def nothing() -> None: ...


@plain.get("/")
async def hello() -> dict[str, object]:
    return HELLO


@dependent.get("/")
async def hello_to(user: Annotated[None, Depends(nothing)]) -> dict[str, object]:
    return HELLO


if __name__ == "__main__":
    run(serve(dependent if sys.argv[1] == "dependency" else plain, ["fastapi", "starlette", "pydantic"]))
