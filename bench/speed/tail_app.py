"""The server of `bench.speed.tail`: a Starlette application with the login under ``/auth`` and one protected route.

It is started as people start it, ``uvicorn bench.speed.tail_app:app``. Environment: ``DATABASE`` (URL), ``SESSIONS``
(URL of another place for the sessions, may be empty), ``USERS`` (who send requests), ``LOGINS`` (who log in), ``READY``
(the file that it writes when it can be asked).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.speed.tail_others import PASSWORD
from coatcheck import Mode
from coatcheck.accounts import PasswordHasher
from coatcheck.adapters.asgi import IDENTITY
from coatcheck.starlette import Auth, mount_auth

auth = Auth(os.environ["DATABASE"], sessions=os.environ.get("SESSIONS") or None)


async def hello(request: Request) -> Response:
    """The protected route."""
    if request.scope[IDENTITY] is None:
        return Response(status_code=401)
    return JSONResponse({"hello": "world", "items": [1, 2, 3]})


async def prepare(users: int, logins: int) -> dict[str, Any]:
    """Make the accounts, log in who sends requests, and measure what hashing alone can do in this process."""
    hasher = PasswordHasher()
    stored = await hasher.hash(PASSWORD)
    headers = []
    for number in range(users):
        account = await auth.accounts.adopt(f"user{number}@example.com", stored)
        made = await auth.login(account.id, mode=(Mode.SESSION, Mode.JWT)[number % 2])
        headers.append(f"Authorization: Bearer {made.access_token}" if made.access_token else
                       f"Cookie: coatcheck={made.session_token}")  # fmt: skip
    names = [f"login{number}@example.com" for number in range(logins)]
    for name in names:
        await auth.accounts.adopt(name, stored)
    pool = await capacity(hasher, stored)
    await hasher.close()
    return {"pid": os.getpid(), "headers": headers, "names": names, "pool": pool, "threads": hasher.concurrency}


async def capacity(hasher: PasswordHasher, stored: str, seconds: float = 0.5) -> float:
    """Passwords checked per second with nothing else to do."""
    done, until = 0, time.monotonic() + seconds

    async def client() -> None:
        nonlocal done
        while time.monotonic() < until:
            await hasher.verify(stored, PASSWORD)
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(client() for _ in range(2 * hasher.concurrency)))
    return done / (time.monotonic() - began)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Say that all is ready, in one step."""
    found = await prepare(int(os.environ["USERS"]), int(os.environ["LOGINS"]))
    ready = Path(os.environ["READY"])

    def write() -> None:
        half = ready.with_suffix(".half")
        half.write_text(json.dumps(found))
        half.rename(ready)

    await asyncio.to_thread(write)
    yield


app = Starlette(routes=[Route("/", hello)], lifespan=lifespan)
mount_auth(app, auth)
