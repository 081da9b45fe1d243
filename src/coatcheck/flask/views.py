"""Flask: ``Coatcheck(app, auth)``, then ``@login_required`` on a view and ``current_user`` in it.

``auth`` is a `coatcheck.blocking.Auth`, or its `RemoteVerifier` where the database is elsewhere; it starts itself at
the first request. Who is asking is decided before each view: a bad bearer token is refused (401) and so is a cross-site
change that rides on a cookie (403), whether or not the view asks. A cookie that has ended makes a request anonymous.
The answer of a view that looks at who is asking says ``Vary: Cookie, Authorization``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final, NamedTuple, TypeVar, cast, overload
from urllib.parse import urlencode
from weakref import WeakSet

from flask import Flask, Request, Response, current_app, redirect, request, url_for
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Response as BaseResponse

from ..adapters import demands
from ..adapters.problems import CONTENT_TYPE, INTERNAL, problem_of
from ..adapters.sent_forms import LOCAL_URL, accepts_pages, is_form, page_of_form, root_of
from ..adapters.wsgi import (
    FORM_FIELD,
    BlockingKnower,
    arrival_of,
    identify_arrival_leniently,
    presents_nothing,
    recognise,
)
from ..blocking import Auth
from ..credentials.csrf import SAFE_METHODS
from ..errors import CoatcheckError, ConfigurationError, CrossSite, LoginTooOld, NotLoggedIn, StoreUnavailable
from ..model import Identity
from .forms import IS_SERVICE, NOT_ACCEPTED, check_form, is_way_in, this_page
from .kept import bind, is_bound, seal_for

__all__ = [
    "Coatcheck", "auth_of", "csrf_token", "current_user", "exempt", "fresh", "login_required", "optional_user",
    "requires",
]  # fmt: skip

View = TypeVar("View", bound=Callable[..., Any])

log = logging.getLogger("coatcheck.flask")

_NAME: Final = "coatcheck"
_DECIDED: Final = "coatcheck.decided"
"""Key of the request's environment: for which `_Here`, and the identity, None, or the error that refuses. Not in ``g``,
which outlives a request where an application context was pushed around it."""
_READ: Final = "coatcheck.read"
"""Key of the request's environment: whether anybody has looked at who is asking."""
_PAGES: Final = "coatcheck.pages"
"""Key of the request's environment: the `_Pages` of the view that refuses it."""

_request: Final = cast("LocalProxy[Request]", request)._get_current_object
_app: Final = cast("LocalProxy[Flask]", current_app)._get_current_object
"""What is behind the two, asked for once: each attribute of a `LocalProxy` costs a search of its own."""

_exempt: WeakSet[Callable[..., Any]] = WeakSet()
_wrapped: WeakSet[Callable[..., Any]] = WeakSet()
"""What a demand of ours stands before. Routed or registered as it is, it would be open to everybody."""
_asking: WeakSet[Callable[..., Any]] = WeakSet()
"""What asks first."""
_everywhere: WeakSet[_Here] = WeakSet()
"""What all applications were given."""
_ABOVE: Final = "above login_required, requires or fresh, not below"


class _Pages(NamedTuple):
    """Where people are sent, each a path below the application's root or the name of an endpoint."""

    login: str | None = None
    renew: str | None = None

    def checked(self) -> _Pages:
        """Raises `ConfigurationError` for a path that might be read as another host's."""
        for name, page in (("login_view", self.login), ("renew_view", self.renew)):
            if page is not None and page.startswith("/") and not LOCAL_URL.fullmatch(page):
                raise ConfigurationError(f"{name} must be a path such as /auth/login, or the name of an endpoint")
        return self


class _Here:
    """What one application was given."""

    def __init__(self, auth: BlockingKnower, pages: _Pages) -> None:
        self.auth: Final = auth
        self.pages: Final = pages
        self.routes: dict[str | None, tuple[Callable[..., Any] | None, bool]] = {}
        """By endpoint: the view that was looked at, with the functions before it, and whether it is exempt."""
        _everywhere.add(self)


class Coatcheck:
    """The extension: ``Coatcheck(app, auth)``, or ``Coatcheck(auth=auth)`` and `init_app` for an application factory.

    ``login_view``: where a person who is nobody is sent from a page that needs somebody: a path below the application's
    root, such as ``/auth/login``, or the name of an endpoint. It gets ``next``, the path to come back to. Only a GET
    that accepts HTML is sent there; a program gets 401. Without it, everybody does. ``renew_view``: the same for a
    person whose login is too old for a view that is `fresh`, such as ``/auth/reauthenticate``.

    Raises `ConfigurationError`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        auth: BlockingKnower | None = None,
        *,
        login_view: str | None = None,
        renew_view: str | None = None,
    ) -> None:
        self._auth = auth
        self._pages = _Pages(login_view, renew_view)
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        auth: BlockingKnower | None = None,
        *,
        login_view: str | None = None,
        renew_view: str | None = None,
    ) -> None:
        """Set up one application. What is given here goes before what the extension was made with."""
        auth = auth or self._auth
        pages = _Pages(login_view or self._pages.login, renew_view or self._pages.renew).checked()
        if auth is None or iscoroutinefunction(auth.verify):
            raise ConfigurationError("Flask needs an Auth for threads: Coatcheck(app, coatcheck.blocking.Auth(...))")
        if _NAME in app.extensions:
            raise ConfigurationError("this application has been given to Coatcheck already")
        here = app.extensions[_NAME] = _Here(auth, pages)
        app.before_request(_looking_first(app, here))
        app.after_request(_varying)
        app.register_error_handler(CoatcheckError, _on_refusal)
        app.context_processor(_for_templates)
        app.add_template_global(csrf_token)


def optional_user() -> Identity | None:
    """Who is asking, or None for nobody: for views that serve everybody.

    Raises what refuses the request: `InvalidCredential`, `CrossSite` or `StoreUnavailable`."""
    return _read(_request(), _here(_app()))


class _Nobody(NotLoggedIn, RuntimeError):
    """A RuntimeError too, by which `LocalProxy` knows that there is nothing behind it."""


def _somebody() -> Identity:
    identity = optional_user()
    if identity is None:
        raise _Nobody("current_user is nobody")
    return identity


class _CurrentUser(LocalProxy[Identity]):
    """Which answers one question for nobody too."""

    __slots__ = ()

    @property
    def is_authenticated(self) -> bool:
        return optional_user() is not None


current_user: Identity = cast(Identity, _CurrentUser(_somebody))
"""Who is asking. When that is nobody it is false, as is its ``is_authenticated``, and whatever else is asked of it
raises `NotLoggedIn`, which is answered with 401. In a view without `login_required`, `optional_user` says it with
types. Templates have ``current_user`` too; there, nobody is None."""


@overload
def login_required(view: View) -> View: ...
@overload
def login_required(*, login_view: str | None = None) -> Callable[[View], View]: ...
def login_required(view: View | None = None, *, login_view: str | None = None) -> View | Callable[[View], View]:
    """A view, or a ``before_request`` function, that needs somebody logged in; otherwise 401. Where Flask answers
    OPTIONS by itself, nobody is needed: browsers ask so before they send a credential. ``login_view``: where a
    person is sent from here, in the place of what `Coatcheck` was given.

    It goes below ``@app.get(...)``, and into ``decorators`` of a class of views. Raises `TypeError` for a page where
    the view is meant."""
    if view is not None and not callable(view):
        raise TypeError("name the page: login_required(login_view=...)")
    pages = _Pages(login_view).checked()

    def behind(view: View) -> View:
        return _behind(demands.LOGGED_IN, view, pages)

    return behind if view is None else behind(view)


def requires(*roles: str, login_view: str | None = None) -> Callable[[View], View]:
    """As `login_required`, and for whoever lacks one of these roles 403. Raises `ValueError` without any."""
    demand, pages = demands.requires(*roles), _Pages(login_view).checked()
    return lambda view: _behind(demand, view, pages)


def fresh(*, minutes: float, login_view: str | None = None, renew_view: str | None = None) -> Callable[[View], View]:
    """As `login_required`, and for whoever last proved who they are more than so many minutes ago 401
    ``login_too_old`` (RFC 9470). ``renew_view``: where a person is sent instead, to prove it again, in the place of
    what `Coatcheck` was given."""
    demand, pages = demands.fresh(minutes=minutes), _Pages(login_view, renew_view).checked()
    return lambda view: _behind(demand, view, pages)


def exempt(view: View) -> View:
    """A view that knows its callers in another way, such as a webhook with a bearer token of its own: nothing is
    refused before it. Whatever asks for `current_user` there is refused as anywhere."""
    _mark(_exempt, view)
    return view


def csrf_token() -> str:
    """A CSRF token for a form of this page, as the value of a hidden field ``csrf_token``; empty for nobody.

    Browsers say by themselves where a form comes from; the token is for those that do not. Raises
    `ConfigurationError` with a `RemoteVerifier`, which cannot make one."""
    identity, auth = optional_user(), auth_of(current_app)
    if not isinstance(auth, Auth):
        raise ConfigurationError("only the service with the database makes CSRF tokens, not a RemoteVerifier")
    return auth.csrf_token(identity.session_id) if identity else ""


def auth_of(app: Flask) -> BlockingKnower:
    """What verifies for this application. Raises `ConfigurationError` when it has not been set up."""
    return _here(app).auth


def _here(app: Flask) -> _Here:
    here: _Here | None = app.extensions.get(_NAME)
    if here is None:
        raise ConfigurationError("no Coatcheck here: Coatcheck(app, auth), or init_app in the application's factory")
    return here


def _decided(asked: Request, here: _Here) -> Identity | None:
    environ = asked.environ
    decided = environ.get(_DECIDED)
    if decided is None or decided[0] is not here:
        decided = environ[_DECIDED] = (here, _decide(here.auth, asked))
    found: Identity | CoatcheckError | None = decided[1]
    if isinstance(found, CoatcheckError):
        raise found
    return found


def _read(asked: Request, here: _Here) -> Identity | None:
    """Who is asking, for somebody whose answer may depend on it."""
    asked.environ[_READ] = True
    return _decided(asked, here)


def _varying(response: Response) -> Response:
    """What has looked at who is asking is answered with ``Vary``: no cache may hand it to somebody else."""
    environ = _request().environ
    decided = environ.get(_DECIDED, (None, None))[1]
    seal_for(environ, decided if isinstance(decided, Identity) else None)
    if _READ in environ:
        response.vary.update(("Cookie", "Authorization"))
    return response


def _decide(auth: BlockingKnower, asked: Request) -> Identity | CoatcheckError | None:
    environ = asked.environ
    if environ["REQUEST_METHOD"] in SAFE_METHODS:
        identity = recognise(auth.known, environ, environ["wsgi.url_scheme"], environ.get("HTTP_HOST", ""))
        if identity is not None:
            return identity
    if presents_nothing(environ):
        return None
    try:
        arrival = arrival_of(environ)
        found = identify_arrival_leniently(auth, arrival, lambda: asked.form.get(FORM_FIELD))
        if found is not None and arrival.changes and not arrival.by_bearer and isinstance(auth, Auth):
            check_form(auth, asked, found)
        return found
    except CoatcheckError as error:
        return error


def _looking_first(app: Flask, here: _Here) -> Callable[[], None]:
    def before_request() -> None:
        asked = _request()
        endpoint = asked.endpoint
        view = app.view_functions.get(endpoint or "")
        route = here.routes.get(endpoint)
        if route is None or route[0] is not view:
            _check_order(app, asked, view)
            route = here.routes[endpoint] = (view, view in _exempt)
        if not route[1] or (is_bound() and not getattr(view, IS_SERVICE, False)):
            bind(asked.environ, _decided(asked, here))

    return before_request


def _check_order(app: Flask, asked: Request, view: Callable[..., Any] | None) -> None:
    """Raise `ConfigurationError` where a demand of ours stands above the route, and so asks nobody."""
    if _is_bare(view):
        raise ConfigurationError(f"{asked.endpoint}: put the route {_ABOVE}")
    for place in (None, *asked.blueprints):
        if any(map(_is_bare, app.before_request_funcs.get(place, ()))):
            raise ConfigurationError(f"{place or app.name}: put before_request {_ABOVE}")


def _mark(marked: WeakSet[Callable[..., Any]], function: Callable[..., Any]) -> None:
    marked.add(function)
    for here in tuple(_everywhere):  # what was looked at before has to be looked at again
        here.routes.clear()


def _is_bare(function: Callable[..., Any] | None) -> bool:
    return function in _wrapped and function not in _asking


def _behind(demand: demands.Demand, view: View, pages: _Pages) -> View:
    is_async = iscoroutinefunction(view)

    @wraps(view)
    def asking(*args: Any, **kwargs: Any) -> Any:
        asked, here = _request(), _here(_app())
        try:
            demand.check(_read(asked, here), here.auth.clock)
        except CoatcheckError as error:
            if _is_preflight(asked) or is_way_in(asked, asking, *pages, *here.pages):
                return None
            if isinstance(error, (NotLoggedIn, LoginTooOld)):
                asked.environ[_PAGES] = pages  # for whoever answers it
            raise
        return (current_app.ensure_sync(view) if is_async else view)(*args, **kwargs)

    bare: Callable[..., Any] | None = view
    while bare is not None:  # also what is below other decorators
        _mark(_wrapped, bare)
        bare = getattr(bare, "__wrapped__", None)
    _mark(_asking, asking)
    return cast(View, asking)


def _is_preflight(asked: Request) -> bool:
    """Whether this is OPTIONS, and no view handles it: Flask says by itself which methods there are. A browser asks so
    without any credential, and what guards a blueprint must not ask for one."""
    return asked.method == "OPTIONS" and getattr(asked.url_rule, "provide_automatic_options", asked.url_rule is None)


def _for_templates() -> dict[str, Identity | None]:
    try:
        return {"current_user": optional_user()}
    except CoatcheckError:  # the page that says so needs no user
        return {"current_user": None}


def _on_refusal(error: CoatcheckError) -> BaseResponse:
    problem, here = problem_of(error), _here(current_app)
    if problem is INTERNAL:
        raise error
    if request.url_rule is not None and _is_preflight(_request()):
        return current_app.make_default_options_response()
    if isinstance(error, StoreUnavailable):
        log.warning("cannot answer: %s", error)
    asked = _request()
    page, by_form = _page_for(error, here), is_form(asked.environ, arrival_of(asked.environ))
    if page is not None and (by_form or _is_visit()):
        back = page_of_form(asked.environ, asked.scheme, asked.host) if by_form else this_page(asked)
        response = redirect(_login_url(page, back), 303)
    elif isinstance(error, CrossSite) and by_form:
        response = Response(NOT_ACCEPTED, problem.status, content_type="text/html; charset=utf-8")
    else:
        response = Response(problem.body(), problem.status, problem.headers, content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response


def _page_for(error: CoatcheckError, here: _Here) -> str | None:
    """Where a person goes who is refused so: what the view says before what the application does."""
    own: _Pages = request.environ.get(_PAGES, _Pages())
    if isinstance(error, NotLoggedIn):
        return own.login or here.pages.login
    return own.renew or here.pages.renew if isinstance(error, LoginTooOld) else None


def _is_visit() -> bool:
    """Whether a person goes to a page, and not a program to an API."""
    arrival = arrival_of(request.environ)
    reads = request.method in ("GET", "HEAD") and arrival.navigates and not arrival.by_bearer
    return reads and accepts_pages(request.environ.get("HTTP_ACCEPT", ""))


def _login_url(view: str, back: str) -> str:
    url = f"{root_of(request.root_path)}{view}" if view.startswith("/") else url_for(view)
    if not LOCAL_URL.fullmatch(back):  # whoever follows it may take it for another host
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'next': back})}"
