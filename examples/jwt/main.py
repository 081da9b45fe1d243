"""An API for programs: a short access token, a refresh token that is replaced at each use, and a logout that counts."""

from fastapi import FastAPI

from coatcheck.fastapi import Auth, CurrentUser, Mode, Policy, auth_app, fresh

policy = Policy(modes=(Mode.JWT,), access_lifetime=300)
auth = Auth("sqlite:///app.db", policy=policy)
app = FastAPI(lifespan=auth.lifespan)
app.mount("/auth", auth_app(auth))  # POST /auth/register, /auth/login, /auth/refresh, /auth/logout ...

tasks: dict[str, list[str]] = {}


@app.get("/tasks")
async def read(user: CurrentUser) -> list[str]:
    """No request asks the database who somebody is: not the first with a token, nor any after it."""
    return tasks.get(user.subject, [])


@app.post("/tasks", status_code=201)
async def add(user: CurrentUser, task: str) -> list[str]:
    """A bearer token needs no CSRF token: no browser sends it by itself."""
    tasks.setdefault(user.subject, []).append(task)
    return tasks[user.subject]


@app.delete("/tasks", status_code=204, dependencies=[fresh(minutes=10)])
async def clear(user: CurrentUser) -> None:
    """For whoever has typed the password within ten minutes. Refreshing is not enough."""
    tasks.pop(user.subject, None)
