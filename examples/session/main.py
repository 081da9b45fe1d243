"""A web site with sessions: one opaque cookie, the login page of Coatcheck, and a logout that counts at once."""

from html import escape
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from coatcheck.fastapi import Auth, CurrentUser, Identity, Mode, OptionalUser, Policy, auth_app, requires

auth = Auth("sqlite:///app.db", policy=Policy(modes=(Mode.SESSION,)))
app = FastAPI(lifespan=auth.lifespan)
app.mount("/auth", auth_app(auth))  # pages: login, sign-up, your devices; and the same as an API

lines: list[str] = []


@app.get("/")
async def guest_book(user: OptionalUser) -> Response:
    """Everybody may read."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    form = '<form method="post" action="/sign"><input name="line"><button>Sign</button></form>'
    login = '<p><a href="/auth/login?next=/">Log in to sign</a></p>'
    return HTMLResponse(f"<h1>Guest book</h1><ul>{items}</ul>{form if user else login}")


@app.post("/sign")
async def sign(user: CurrentUser, request: Request) -> Response:
    """Who is logged in may write. A form on another site may not, though the browser sends the cookie along."""
    form = parse_qs((await request.body()).decode())
    lines.extend(line[:200] for line in form.get("line", []))
    return RedirectResponse("/", 303)


@app.post("/clear", status_code=204)
async def clear(user: Annotated[Identity, requires("editor")]) -> None:
    """Roles count from the moment they are given or taken."""
    lines.clear()
