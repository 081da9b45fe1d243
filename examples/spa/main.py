"""A single-page app in mode jwt-cookie: the page's script never sees a token, and may be as many tabs as you like."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

from coatcheck.fastapi import Auth, CurrentUser, Mode, Policy, auth_app

auth = Auth("sqlite:///app.db", policy=Policy(modes=(Mode.JWT_COOKIE,), access_lifetime=60))
app = FastAPI(lifespan=auth.lifespan)
app.mount("/auth", auth_app(auth))

counts: dict[str, int] = {}


@app.get("/")
async def page() -> FileResponse:
    """For everybody: what it shows, it asks the API for."""
    return FileResponse(Path(__file__).with_name("index.html"))


@app.get("/api/count")
async def read(user: CurrentUser) -> dict[str, int]:
    return {"count": counts.get(user.subject, 0)}


@app.post("/api/count")
async def step(user: CurrentUser) -> dict[str, int]:
    """A change that rides on a cookie: the browser says that it comes from this page, or it is refused."""
    counts[user.subject] = counts.get(user.subject, 0) + 1
    return {"count": counts[user.subject]}
