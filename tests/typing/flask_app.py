"""A Flask application that uses everything of its adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, assert_type

from flask import Blueprint, Flask, Response
from flask.typing import ResponseReturnValue
from flask.views import MethodView

from coatcheck import Identity, Mode
from coatcheck.adapters.wsgi import BlockingKnower
from coatcheck.blocking import Auth, RemoteVerifier
from coatcheck.flask import (
    Coatcheck,
    auth_blueprint,
    auth_of,
    csrf_token,
    current_user,
    deliver,
    exempt,
    fresh,
    login_required,
    mount_auth,
    optional_user,
    requires,
)

auth = Auth("memory://")
app = Flask(__name__)
extension = Coatcheck(app, auth, login_view="/auth/login")
app.register_blueprint(auth_blueprint(auth, pages=False), url_prefix="/auth")
members = Blueprint("members", __name__)


@app.get("/<name>")
@login_required
def me(name: str) -> str:
    assert_type(current_user, Identity)
    assert_type(current_user.subject, str)
    assert_type(current_user.mode, Mode)
    return f"{name} {current_user.subject} {csrf_token()}"


@app.get("/open")
def public() -> str:
    user = optional_user()
    assert_type(user, Identity | None)
    return user.subject if user else "stranger"


@app.post("/danger")
@requires("admin", "author")
@fresh(minutes=5, renew_view="/again")
async def danger() -> str:
    return current_user.subject


@members.before_request
@login_required(login_view="/enter")
def members_only() -> None: ...


@app.post("/hook")
@exempt
def hook() -> str:
    return ""


class Reports(MethodView):
    decorators: ClassVar[list[Callable[..., Any]]] = [requires("editor"), login_required]

    def get(self) -> list[str]:
        return [current_user.subject]


@app.post("/enter")
def enter() -> ResponseReturnValue:
    return deliver(Response("welcome"), auth.login("ann"), mount="/auth")


# Decorators leave a view's type as it is.
assert_type(me("hello"), str)
app.add_url_rule("/reports", view_func=Reports.as_view("reports"))
assert_type(auth_of(app), BlockingKnower)

verifying = Flask("verifying")
extension.init_app(
    verifying, RemoteVerifier("https://auth.example.com", service_key="a-key-of-the-orders-service-0001")
)
assert_type(mount_auth(Flask("small"), "memory://", prefix="/id"), Auth)
