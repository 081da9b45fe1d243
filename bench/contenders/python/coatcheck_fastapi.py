"""FastAPI with Coatcheck: ``coatcheck_fastapi.py session | jwt | jwt-cookie``. See docs/fastapi.md."""

from __future__ import annotations

import bare_fastapi
from fastapi import FastAPI
from shared import HELLO, run, serve
from with_coatcheck import logging_in, make_auth

from coatcheck.fastapi import CurrentUser, mount_auth

app = FastAPI()
auth = mount_auth(app, make_auth())


@app.get("/")
async def hello(user: CurrentUser) -> dict[str, object]:
    return HELLO


if __name__ == "__main__":
    packages = ["fastapi", "starlette", "pydantic"]
    run(serve(app, packages, logging_in(auth), bare=bare_fastapi.dependent))
