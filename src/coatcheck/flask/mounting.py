"""The service within a Flask application: ``mount_auth(app, "sqlite:///app.db")``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Blueprint, Flask, Response, current_app, redirect, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from .. import acts, arguments
from ..adapters.kept import TURNS
from ..adapters.visits import here
from ..adapters.wsgi import scope_of
from ..blocking import Auth
from ..errors import ConfigurationError, InvalidCredential
from ..features.former.trading import Former, cookie_mode, exchange, is_visit, presents_nothing, set_cookies
from ..issuer import Credentials
from ..service.app import check_prefix, entrance_of
from ..service.bridge import Answered
from ..service.wsgi import WsgiAuthApp, check_body, check_length, end_replaced, refused, service_scope
from ..site import NOBODYS, Site
from ..web.delivery import check_destination, cookies
from ..web.envelope import MAX_BODY
from ..web.refusals import BY_STATUS, TOO_LARGE, Refusal
from .forms import IS_SERVICE
from .kept import turn
from .views import (
    Coatcheck,
    auth_of,
    exempt,
)

__all__ = ["auth_blueprint", "deliver", "mount_auth", "trade_in_visits"]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def mount_auth(
    app: Flask,
    auth: Auth | str = "sqlite:///coatcheck.db",
    *,
    prefix: str = "/auth",
    login_view: str | None = None,
    renew_view: str | None = None,
    service_keys: Sequence[str] = (),
    pages: bool = True,
    site: Site | Mapping[str, Any] = NOBODYS,
    send_to_login: bool = True,
) -> Auth:
    """Everything at once: `Coatcheck` for the application and `auth_blueprint` under ``prefix``.

    Everybody can register; an internal tool says ``Auth(url, policy=Policy(registration="closed"))``.
    ``auth`` may also be the database's URL, as `coatcheck.Auth` takes it. ``login_view`` is the login page unless it
    says otherwise, where there are pages, and ``renew_view`` the page for proving again who one is. ``send_to_login``:
    a person who comes to a page and is nobody is sent there and back, and no program is; False: everybody gets the
    refusal. ``site``: the name, logo, colour and address that the pages show. Returns the `Auth`. Raises
    `ConfigurationError`."""
    if isinstance(auth, str):
        auth = Auth(auth)
    check_prefix(prefix)
    if not send_to_login and (login_view or renew_view):
        raise ConfigurationError("send_to_login=False sends nobody anywhere: leave out login_view and renew_view")
    entrance = entrance_of(auth, prefix) if pages and send_to_login else None
    if entrance is not None:
        login_view = login_view or entrance.login
        renew_view = renew_view or entrance.renew
    Coatcheck(app, auth, login_view=login_view, renew_view=renew_view)
    app.register_blueprint(auth_blueprint(auth, service_keys=service_keys, pages=pages, site=site), url_prefix=prefix)
    return auth


def auth_blueprint(
    auth: Auth,
    *,
    service_keys: Sequence[str] = (),
    pages: bool = True,
    name: str = "coatcheck",
    site: Site | Mapping[str, Any] = NOBODYS,
) -> Blueprint:
    """The API and the pages, to be registered: ``app.register_blueprint(auth_blueprint(auth), url_prefix="/auth")``.

    It is `coatcheck.service.auth_app` on the background loop, without ``/events``; see `coatcheck.service.wsgi`. Raises
    `ConfigurationError`."""
    service = WsgiAuthApp(auth, service_keys=service_keys, pages=pages, site=site)
    routes = Blueprint(name, __name__, url_prefix="/auth")

    @exempt  # the service decides for itself, and some of its bearer tokens are service keys
    def serve(path: str = "") -> Response:
        body, turns = _body(), list[str | None]()
        scope = service_scope(request.environ, request.path.removesuffix(path), len(body))
        answered = service.ask({**scope, TURNS: turns}, body)
        turn(request.environ, turns)
        return _Faithful.of(answered)

    @routes.app_errorhandler(Refusal)
    def on_refusal(refusal: Refusal) -> Response:
        return _Faithful.of(refused(request.environ, refusal.problem, auth))

    setattr(serve, IS_SERVICE, True)
    for rule in ("/", "/<path:path>"):
        routes.add_url_rule(rule, "serve", serve, methods=_METHODS)
    return routes


def deliver(response: BaseResponse, credentials: Credentials, *, mount: str = "/auth") -> BaseResponse:
    """The response with the cookies of these credentials: what an application with users of its own answers to its own
    login. ``mount``: where `auth_blueprint` is, for the refresh cookie goes to its refresh route only.

    What the browser had ends. Raises `Refusal` where a mode with cookies is asked for and there can be none, over plain
    http or on another site, and `CrossSite` when the login comes from a page of another site."""
    scope = scope_of(request.environ)
    check_destination(scope, credentials, auth_of(current_app).policy.origins)
    turns = scope[TURNS] = []
    values = cookies(scope, credentials, mount=mount)
    end_replaced(auth_of(current_app), scope, credentials)
    turn(request.environ, turns)
    for value in values:
        response.headers.add("Set-Cookie", value)
    response.headers["Cache-Control"] = "no-store"
    return response


def trade_in_visits(app: Flask, auth: Auth, reader: Callable[[], Former | None], *, mount: str = "/auth") -> None:
    """Whoever comes with a former cookie, and with none of ours, is logged in on the way: `TradeIn` for Flask.

    ``reader`` looks at ``flask.request`` for what the former system has issued. Raises `ConfigurationError` for a
    policy without a mode that has cookies."""
    arguments.functions(reader=reader)
    mode = cookie_mode(auth.policy.modes)

    @app.before_request
    def trading() -> BaseResponse | None:
        scope = service_scope(request.environ, "", 0)
        if not is_visit(scope) or not presents_nothing(scope):
            return None
        former = arguments.answered_or_none(Former, reader(), "the reader")
        if former is None:
            return None
        try:
            made = auth.run(lambda running: exchange(running, scope, former, mode=mode))
        except InvalidCredential as error:
            auth.events.emit(acts.FORMER_REFUSED, reason=error.reason)
            return None
        response = redirect(here(scope), 303)
        turns = scope[TURNS] = []
        for value in set_cookies(scope, former, made, mount=mount):
            response.headers.add("Set-Cookie", value)
        turn(request.environ, turns)
        response.headers["Cache-Control"] = "no-store"
        return response


class _Faithful(Response):
    """Adds nothing of its own to what the service answered."""

    default_mimetype = None
    automatically_set_content_length = False

    @classmethod
    def of(cls, answered: Answered) -> _Faithful:
        return cls(answered.body, answered.status, answered.text_headers())


def _body() -> bytes:
    """The body, also where somebody has read it before with ``request.get_data()``. Raises `Refusal`."""
    check_length(request.environ)
    request.max_content_length = MAX_BODY + 1  # a stream that is cut off at its bound looks like one that ends there
    try:
        return check_body(request.environ, request.get_data())
    except RequestEntityTooLarge:
        raise Refusal(TOO_LARGE) from None
    except (ClientDisconnected, OSError) as error:
        raise Refusal(BY_STATUS[400]) from error
