"""The same in Flask, on the same database: web and phone, whichever of the two they ask."""

from html import escape

from flask import Flask, jsonify, redirect, request
from werkzeug.wrappers import Response

from coatcheck.flask import Auth, Mode, Policy, current_user, login_required, mount_auth

app = Flask(__name__)
auth = mount_auth(app, Auth("sqlite:///app.db", policy=Policy(modes=(Mode.SESSION, Mode.JWT))))

notes: dict[str, list[str]] = {}


@app.get("/")
@login_required
def page() -> str:
    """For the browser. A person who is not logged in is sent to the login page, a program gets 401."""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes.get(current_user.subject, []))
    form = '<form method="post" action="/notes"><input name="note"><button>Add</button></form>'
    return f'<h1>Notes</h1><ul>{items}</ul>{form}<p><a href="/auth/devices">Your devices</a>'


@app.post("/notes")
@login_required
def add() -> Response:
    """The page's form. It is refused when it comes from another site."""
    notes.setdefault(current_user.subject, []).append(request.form.get("note", "")[:200])
    return redirect("/", 303)


@app.get("/api/notes")
@login_required
def api() -> Response:
    """For the phone; a browser may read it too."""
    return jsonify(mode=current_user.mode, notes=notes.get(current_user.subject, []))
