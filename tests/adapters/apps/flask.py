"""The suite's application in Flask, asked as a WSGI server asks it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Blueprint, Flask, request
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import run_wsgi_app

from coatcheck import Auth
from coatcheck.blocking import Auth as BlockingAuth
from coatcheck.flask import (
    Coatcheck,
    auth_blueprint,
    current_user,
    exempt,
    fresh,
    login_required,
    optional_user,
    requires,
)
from tests.adapters.suite.contract import Answer, Headers, Setting

T = TypeVar("T")


def mine() -> dict[str, Any]:
    """What the suite wants to know of whoever is logged in."""
    return {
        "subject": current_user.subject,
        "session": current_user.session_id,
        "mode": current_user.mode.value,
        "roles": sorted(current_user.roles),
    }


def create_app(auth: BlockingAuth) -> Flask:
    """The application, with each idiom once: a view, an asynchronous one, a class of views and a blueprint."""
    app = Flask(__name__)
    Coatcheck(app, auth)
    app.register_blueprint(auth_blueprint(auth), url_prefix="/auth")
    admin = Blueprint("admin", __name__)

    @app.route("/open", methods=["GET", "POST"])
    def public() -> dict[str, Any]:
        user = optional_user()
        return {"subject": user.subject if user else None}

    @app.route("/theirs", methods=["GET", "POST"])
    @exempt
    def theirs() -> dict[str, Any]:
        return {"authorization": request.headers.get("Authorization")}

    @app.get("/theirs/mine")
    @exempt
    @login_required
    def theirs_mine() -> dict[str, Any]:
        return mine()

    @app.post("/danger")
    @fresh(minutes=5)
    async def danger() -> dict[str, Any]:
        return mine()

    @admin.before_request
    @requires("admin")
    def administrators_only() -> None:
        """Nothing else."""

    @admin.get("/admin")
    def show() -> dict[str, Any]:
        return mine()

    class Mine(MethodView):
        decorators = (login_required,)

        def get(self) -> dict[str, Any]:
            return mine()

        def post(self) -> dict[str, Any]:
            return mine()

    app.add_url_rule("/mine", view_func=Mine.as_view("mine"))
    app.register_blueprint(admin)
    return app


def create_served() -> Flask:
    """The application for a real server, with accounts in memory."""
    return create_app(BlockingAuth("memory://"))


class WsgiServed:
    """A WSGI application without a server: the environment is made as gunicorn makes it."""

    def __init__(self, app: Any, auth: BlockingAuth) -> None:
        self._app = app
        self._auth = auth

    async def request(
        self, method: str, path: str, *, headers: Headers = (), body: bytes = b"", base: str = "https://app.example"
    ) -> Answer:
        environ = environ_of(method, path, headers, body, base)
        return await asyncio.to_thread(self._ask, environ)

    async def run(self, work: Callable[[Auth], Awaitable[T]]) -> T:
        return await asyncio.to_thread(self._auth.run, work)

    def _ask(self, environ: dict[str, Any]) -> Answer:
        parts, status, headers = run_wsgi_app(self._app, environ)
        try:
            content = b"".join(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        sent = [(name.lower(), value) for name, value in headers]
        return Answer(int(status[:3]), sent, b"" if environ["REQUEST_METHOD"] == "HEAD" else content)


def environ_of(method: str, path: str, headers: Headers, body: bytes, base: str) -> dict[str, Any]:
    """PEP 3333's environment of a request. Headers of one name are joined with a comma, as servers do."""
    address, url = urlsplit(base), urlsplit(path)
    found = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.path).decode("latin-1"),
        "QUERY_STRING": url.query,
        "SERVER_NAME": address.hostname or "",
        "SERVER_PORT": str(address.port or {"http": 80, "https": 443}[address.scheme]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": address.netloc,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": address.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body:
        found["CONTENT_LENGTH"] = str(len(body))
    for name, value in headers:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        found[key] = f"{found[key]},{value}" if key in found else value
    return found


@asynccontextmanager
async def serving(setting: Setting) -> AsyncIterator[WsgiServed]:
    """See `contract.Serving`."""
    auth = BlockingAuth(**setting.arguments())
    app: Any = create_app(auth)
    if setting.prefix:
        app = DispatcherMiddleware(Flask(__name__), {setting.prefix: app})
    if setting.behind_proxy:
        app = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
    try:
        yield WsgiServed(app, auth)
    finally:
        await asyncio.to_thread(auth.close)
