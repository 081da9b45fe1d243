"""Flask with Coatcheck, under gunicorn: ``coatcheck_flask:make_app("session" | "jwt" | "jwt-cookie")``.

See docs/flask.md, and `flask_server` for the server.
"""

from __future__ import annotations

from flask import Flask
from flask_server import WSGIApp, announce, beside_bare
from shared import HELLO, SECRET, USERS
from with_coatcheck import STORE, facts, header

from coatcheck import Mode
from coatcheck.flask import Auth, login_required, mount_auth


def make_app(mode: str) -> WSGIApp:
    app = Flask(__name__)
    auth = Auth(STORE, secret=SECRET, subjects=facts)
    mount_auth(app, auth)

    @app.get("/")
    @login_required
    def hello() -> dict[str, object]:
        return HELLO

    announce([header(auth.login(user, mode=Mode(mode))) for user in USERS])
    return beside_bare(app)
