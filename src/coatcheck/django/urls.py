"""The service's routes in a Django project: ``path("auth/", include("coatcheck.django.urls"))``.

It is `coatcheck.service.auth_app` on the background loop of the project's `Auth`, without ``/events``; see
`coatcheck.service.wsgi`. Django runs the view in a thread under ASGI and WSGI alike.
"""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException
from django.urls import path, reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from ..adapters.asgi import Scope
from ..adapters.kept import TURNS
from ..blocking import Auth
from ..errors import ConfigurationError
from ..features.former.trading import Former, traded_in
from ..issuer import Credentials
from ..model import Mode
from ..service.bridge import Answered
from ..service.wsgi import WsgiAuthApp, check_body, check_length, end_replaced, refused, service_scope
from ..web.delivery import check_destination, cookies
from ..web.refusals import BY_STATUS, Refusal
from .kept import turn
from .refusals import SERVICE
from .requests import host_of, made_for, scope_of

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

__all__ = ["Former", "deliver", "trade_in", "urlpatterns"]

_services: WeakKeyDictionary[Auth, WsgiAuthApp] = WeakKeyDictionary()


@sensitive_variables()  # bodies hold passwords, and Django's error reports hold variables
@csrf_exempt  # it judges for itself where requests come from, logging in included
@transaction.non_atomic_requests
def serve(request: HttpRequest, path: str = "") -> HttpResponse:
    """Everything below the path at which it is included."""
    service = _service(request)
    try:
        body = _body(request)
        turns: list[str | None] = []
        answered = service.ask({**_scope(request, path, len(body)), TURNS: turns}, body)
        turn(request, turns)
        return _response(answered)
    except Refusal as refusal:
        return _response(refused(_environ(request), refusal.problem, _auth(request)))


serve.coatcheck_service = True  # type: ignore[attr-defined]  # what `is_for_service` looks at
serve.login_required = False  # type: ignore[attr-defined]  # what `LoginRequiredMiddleware` looks at

urlpatterns = [path("", serve, name=SERVICE), path("<path:path>", serve)]


def deliver(
    request: HttpRequest, response: HttpResponseBase, credentials: Credentials, *, mount: str | None = None
) -> HttpResponseBase:
    """The response with the cookies of these credentials: what an application answers to a login of its own.

    ``mount``: the path at which the service is included, such as ``/auth``, for the refresh cookie goes to its refresh
    route only; found in the URLconf when left out. What the browser had ends.

    Raises `Refusal` where a mode with cookies is asked for and there can be none, over plain http or on another site,
    and `CrossSite` when the login comes from a page of another site."""
    scope, mount = _place(request, mount)
    turns = scope[TURNS] = []
    check_destination(scope, credentials, _auth(request).policy.origins)
    values = cookies(scope, credentials, mount=mount)
    end_replaced(_auth(request), scope, credentials)
    turn(request, turns)
    for value in values:
        response.cookies.load(value)
    response["Cache-Control"] = "no-store"
    return response


def trade_in(request: HttpRequest, former: Former, *, mode: Mode, mount: str | None = None) -> HttpResponse:
    """What a view answers that takes a credential of another system: as a login does, or a refusal, see
    `coatcheck.service.trade_in`. ``mount`` as in `deliver`.

    It judges for itself where the request comes from, so the view may be ``csrf_exempt``. Raises
    `ConfigurationError`."""
    scope, mount = _place(request, mount)
    turns = scope[TURNS] = []
    answer = _auth(request).run(lambda running: traded_in(scope, running, former, mode=mode, mount=mount))
    turn(request, turns)
    return _response(Answered(answer.status_code, answer.raw_headers, bytes(answer.body)))


def _place(request: HttpRequest, mount: str | None) -> tuple[Scope, str]:
    root = request.META.get("SCRIPT_NAME", "")
    return {**scope_of(request), "root_path": root}, reverse(SERVICE).removeprefix(root) if mount is None else mount


def _auth(request: HttpRequest) -> Auth:
    auth = made_for(request).knower
    if not isinstance(auth, Auth):
        raise ConfigurationError("the service needs a whole Auth; COATCHECK['auth'] is a RemoteVerifier")
    return auth


def _service(request: HttpRequest) -> WsgiAuthApp:
    auth = _auth(request)
    found = _services.get(auth)
    if found is None:
        found = _services.setdefault(auth, WsgiAuthApp(auth, **made_for(request).service))
    return found


def _environ(request: HttpRequest) -> dict[str, Any]:
    """A WSGI environment with the scheme and the host that Django takes the request's for."""
    return {**request.META, "wsgi.url_scheme": request.scheme, "HTTP_HOST": host_of(request)}


def _scope(request: HttpRequest, path: str, length: int) -> Scope:
    asgi: Scope | None = getattr(request, "scope", None)
    if asgi is None:
        scope = service_scope(_environ(request), "", length)
    else:  # the headers as they came: Django joins several of one name with a comma
        headers = [item for item in scope_of(request)["headers"] if item[0] != b"content-length"]
        if length:
            headers.append((b"content-length", str(length).encode()))
        scope = {**asgi, "scheme": request.scheme, "headers": headers, "state": {}}
    root_path = request.META.get("SCRIPT_NAME", "").rstrip("/")
    scope["app_root_path"] = root_path
    scope["root_path"] = root_path + request.path_info.removesuffix(path).rstrip("/")
    scope["path"] = root_path + request.path_info
    return scope


def _body(request: HttpRequest) -> bytes:
    """Raises `Refusal`."""
    check_length(request.META)
    try:
        return check_body(request.META, request.body)
    except RawPostDataException:  # some middleware has read it as a form with files, which nothing here takes
        raise Refusal(BY_STATUS[415]) from None


def _response(answered: Answered) -> HttpResponse:
    response = HttpResponse(answered.body, status=answered.status)
    del response["Content-Type"]
    found: SimpleCookie = response.cookies
    for name, value in answered.text_headers():
        if name.lower() == "set-cookie":
            found.load(value)
        else:
            response[name] = value
    return response
