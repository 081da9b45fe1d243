"""A web site in mode session and a phone in mode jwt: one person, one device list, one logout."""

from html import escape
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from coatcheck.fastapi import Auth, CurrentUser, Mode, OptionalUser, Policy, auth_app

auth = Auth("sqlite:///app.db", policy=Policy(modes=(Mode.SESSION, Mode.JWT)))
app = FastAPI(lifespan=auth.lifespan)
app.mount("/auth", auth_app(auth))

notes: dict[str, list[str]] = {}


@app.get("/")
async def page(user: OptionalUser) -> Response:
    """For the browser."""
    if user is None:
        return RedirectResponse("/auth/login?next=/", 303)
    items = "".join(f"<li>{escape(note)}</li>" for note in notes.get(user.subject, []))
    form = '<form method="post" action="/notes"><input name="note"><button>Add</button></form>'
    return HTMLResponse(f'<h1>Notes</h1><ul>{items}</ul>{form}<p><a href="/auth/devices">Your devices</a>')


@app.post("/notes")
async def add(user: CurrentUser, request: Request) -> Response:
    """The page's form. `CurrentUser` refuses it when it comes from another site."""
    form = parse_qs((await request.body()).decode())
    notes.setdefault(user.subject, []).extend(note[:200] for note in form.get("note", []))
    return RedirectResponse("/", 303)


@app.get("/api/notes")
async def api(user: CurrentUser) -> dict[str, object]:
    """For the phone; a browser may read it too."""
    return {"mode": user.mode, "notes": notes.get(user.subject, [])}
