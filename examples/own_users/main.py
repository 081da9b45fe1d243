"""An application that has a table of users already. It checks passwords; Coatcheck keeps the sessions."""

import asyncio
import sqlite3
from contextlib import closing
from secrets import token_hex
from typing import Annotated, Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from fastapi import Body, FastAPI, HTTPException, Request, Response

from coatcheck.fastapi import Auth, Conflict, CurrentUser, InvalidLogin, Mode, SubjectFacts, auth_app, deliver

hasher = PasswordHasher()
NOBODY = hasher.hash(token_hex())  # an unknown name takes as long as a wrong password


def query(sql: str, *values: object) -> Any:
    with closing(sqlite3.connect("users.db")) as users, users:
        return users.execute(sql, values).fetchone()


query("CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY, name TEXT UNIQUE, hash TEXT, role TEXT)")
query("INSERT OR IGNORE INTO people VALUES ('1', 'ann', ?, 'editor')", hasher.hash("nine brown owls"))


async def facts(subject: str) -> SubjectFacts | None:
    found = await asyncio.to_thread(query, "SELECT role FROM people WHERE id = ?", subject)
    return SubjectFacts(roles=frozenset(found)) if found else None


auth = Auth("sqlite:///app.db", subjects=facts)
app = FastAPI(lifespan=auth.lifespan)
app.mount("/auth", auth_app(auth))


@app.post("/login", status_code=204)
async def login(request: Request, name: Annotated[str, Body()], password: Annotated[str, Body()]) -> Response:
    (subject,) = await asyncio.to_thread(query, "SELECT id FROM people WHERE name = ?", name) or ("",)
    epoch = await auth.epoch_of(subject)  # before the hash is read
    (hash_,) = await asyncio.to_thread(query, "SELECT hash FROM people WHERE id = ?", subject) or (NOBODY,)
    try:
        await asyncio.to_thread(hasher.verify, hash_, password)
        made = await auth.login(subject, mode=Mode.SESSION, epoch=epoch)
    except (VerificationError, Conflict, InvalidLogin) as error:
        raise HTTPException(401, "name or password is wrong") from error
    return deliver(Response(status_code=204), request.scope, made, mount="/auth")


@app.get("/me")
async def me(user: CurrentUser) -> dict[str, object]:
    return {"id": user.subject, "roles": sorted(user.roles)}
