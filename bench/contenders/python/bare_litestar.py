"""Litestar without authentication: ``bare_litestar.py route | dependency``; the latter has one that does nothing."""

from __future__ import annotations

import sys

from litestar import Litestar, get
from litestar.di import NamedDependency
from shared import HELLO, run, serve


async def nothing() -> None: ...


@get("/")
async def hello() -> dict[str, object]:
    return HELLO


@get("/", dependencies={"current_user": nothing})
async def hello_to(current_user: NamedDependency[None]) -> dict[str, object]:
    return HELLO


# Its logging, which would write every login to stderr, is off everywhere: so is that of the other frameworks.
plain = Litestar([hello], logging_config=None)
dependent = Litestar([hello_to], logging_config=None)

if __name__ == "__main__":
    run(serve(dependent if sys.argv[1] == "dependency" else plain, ["litestar", "msgspec"]))
