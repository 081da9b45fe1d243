"""The same in Flask, on the same database: both know the same sessions."""

from html import escape

from flask import Flask, redirect, request
from werkzeug.wrappers import Response

from coatcheck.flask import Auth, Mode, Policy, login_required, mount_auth, optional_user, requires

app = Flask(__name__)
auth = mount_auth(app, Auth("sqlite:///app.db", policy=Policy(modes=(Mode.SESSION,))))

lines: list[str] = []


@app.get("/")
def guest_book() -> str:
    """Everybody may read."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    form = '<form method="post" action="/sign"><input name="line"><button>Sign</button></form>'
    login = '<p><a href="/auth/login?next=/">Log in to sign</a></p>'
    return f"<h1>Guest book</h1><ul>{items}</ul>{form if optional_user() else login}"


@app.post("/sign")
@login_required
def sign() -> Response:
    """Who is logged in may write. A form on another site may not, though the browser sends the cookie along."""
    lines.append(request.form.get("line", "")[:200])
    return redirect("/", 303)


@app.post("/clear")
@requires("editor")
def clear() -> tuple[str, int]:
    """Roles count from the moment they are given or taken."""
    lines.clear()
    return "", 204
