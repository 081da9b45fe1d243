"""Handing out credentials: the JSON of a login's answer and the cookies of each mode, and making a browser forget them.

``Clear-Site-Data`` is not sent on logout: ``"cookies"`` would delete every cookie of the registrable domain, other
applications' among them, ``"storage"`` what the application keeps there, and there is nothing of ours in a cache, for
every answer is ``no-store`` (OWASP ASVS 14.3.1 leaves the means to us).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..adapters.asgi import Scope, arrival_of
from ..adapters.kept import turn
from ..adapters.problems import problem_of
from ..auth import Auth
from ..credentials.arrival import Arrival
from ..credentials.cookies import CookieNames, delete_cookie, set_cookie
from ..credentials.csrf import Provenance
from ..errors import ConfigurationError, CrossSite
from ..issuer import Credentials
from ..model import Mode, Session
from ..verifier import STATE_KEY
from .answers import LoginAnswer, SessionView, SubjectView
from .refusals import COOKIES_NEED_SAME_SITE, COOKIES_NEED_TLS, PROXY_NOT_BELIEVED, Refusal
from .replaced import afterwards, replaced

_LAST: Final = 253_402_300_799
"""The end of the year 9999, the last moment that RFC 3339 can write."""


def timestamp(at: float) -> str:
    """A time as RFC 3339 writes it, in UTC and whole seconds."""
    return datetime.fromtimestamp(min(max(int(at), 0), _LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def session_view(session: Session) -> SessionView:
    """What a login's answer says of its session."""
    return SessionView(
        id=session.id,
        created_at=timestamp(session.created),
        idle_expires_at=timestamp(session.idle_deadline),
        expires_at=timestamp(session.absolute_deadline),
    )


def login_answer(credentials: Credentials, email: str | None) -> LoginAnswer:
    """The body of an answer to a login. Tokens are in it in mode ``jwt`` only; elsewhere they are cookies."""
    session = credentials.session
    subject = SubjectView(id=session.subject, email=email, roles=sorted(credentials.facts.roles))
    answer = LoginAnswer(subject=subject, session=session_view(session), mode=session.mode.value)
    if session.mode is Mode.JWT:
        answer.access_token = credentials.access_token or ""
        answer.token_type = "Bearer"
        answer.refresh_token = credentials.refresh_token or ""
        answer.refresh_expires_in = credentials.refresh_expires_in
    else:
        answer.csrf_token = credentials.csrf_token
    if session.mode is not Mode.SESSION:
        answer.expires_in = credentials.expires_in
    return answer


def require_cookies(arrival: Arrival, mode: Mode) -> CookieNames | None:
    """The names of our cookies on this request; None in mode ``jwt``, which sets none.

    Raises `Refusal` ``cookies_need_tls`` when the mode needs cookies and this request cannot have them, and
    ``cookies_need_same_site`` when the browser would drop them: call it before anything is created."""
    if mode is Mode.JWT:
        return None
    if arrival.settable is None:
        raise Refusal(COOKIES_NEED_TLS if arrival.doubt is None else PROXY_NOT_BELIEVED)
    if arrival.drops_cookies:
        raise Refusal(COOKIES_NEED_SAME_SITE)
    return arrival.settable


def refresh_path(scope: Scope, mount: str = "") -> str:
    """The path of the refresh route as the browser sees it: the refresh cookie goes there and nowhere else.

    ``mount``: where the service is, below the application that answers the request; empty within the service."""
    return f"{root_of(scope, mount)}/refresh"


def root_of(scope: Scope, mount: str = "") -> str:
    """The path below which something is, as the browser sees it; empty at the root of a host. A root path may end with
    a slash, which servers put before the one that a path begins with."""
    parts = [part for part in f"{scope.get('root_path', '')}/{mount}".split("/") if part]
    return quote("/" + "/".join(parts)) if parts else ""


def cookies(scope: Scope, credentials: Credentials, *, mount: str = "", renewed: bool = False) -> list[str]:
    """The Set-Cookie values that deliver these credentials and delete the other mode's. Mode ``jwt``: none at all.

    The session cookie lasts as long as the browser is open, or with ``remember`` as long as the session. Both cookies
    of mode ``jwt-cookie`` last as long as the refresh token: logging out must find the session when its access token
    has long expired. ``mount`` as in `refresh_path`. ``renewed``: they take the place of those that came, see
    `Arrival.renewable`. Raises `Refusal` as `require_cookies` does.

    What the framework keeps for a person is this one's from now on, see `coatcheck.adapters.kept`."""
    session = credentials.session
    arrival = arrival_of(scope)
    names = require_cookies(arrival, session.mode)
    if renewed and names is not None:
        names = arrival.renewable
    if names is None:
        return []
    try:
        if session.mode is Mode.SESSION:
            values = [_session_cookie(names, credentials), *_delete_tokens(names, refresh_path(scope, mount))]
        else:
            values = [*_token_cookies(names, refresh_path(scope, mount), credentials), _delete_session(names)]
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    turn(scope, session.subject)
    return values


def forget(scope: Scope, *, mount: str = "") -> list[str]:
    """The Set-Cookie values that make a browser forget all of ours. None where there can be no cookies, and never of
    another port's, which may be another application's."""
    turn(scope, None)
    names = arrival_of(scope).names
    return [] if names is None else [_delete_session(names), *_delete_tokens(names, refresh_path(scope, mount))]


def forget_tokens(scope: Scope) -> list[str]:
    """The Set-Cookie values that make a browser forget the cookies of mode ``jwt-cookie``."""
    turn(scope, None)
    names = arrival_of(scope).names
    return [] if names is None else _delete_tokens(names, refresh_path(scope))


STEPS: Final = "/login/step"
"""The path of the steps: a login under way goes there and nowhere else."""


def attempt_cookie(scope: Scope, mode: Mode, attempt: str, expires_in: int) -> list[str]:
    """The Set-Cookie value that hands a login under way to the browser that began it; none in mode ``jwt``. Raises
    `Refusal` as `require_cookies` does."""
    names = require_cookies(arrival_of(scope), mode)
    if names is None:
        return []
    path = f"{root_of(scope)}{STEPS}"
    return [set_cookie(names.attempt, attempt, secure=names.secure, path=path, same_site="Strict", max_age=expires_in)]


def forget_attempt(scope: Scope) -> list[str]:
    """The Set-Cookie value that makes the browser forget it; none where it has none."""
    arrival = arrival_of(scope)
    if arrival.names is None or not arrival.attempt():
        return []
    path = f"{root_of(scope)}{STEPS}"
    return [delete_cookie(arrival.names.attempt, secure=arrival.names.secure, path=path, same_site="Strict")]


def with_cookies(response: Response, values: list[str]) -> Response:
    """The response with these Set-Cookie headers added."""
    for value in values:
        response.headers.append("set-cookie", value)
    return response


def check_destination(scope: Scope, credentials: Credentials, origins: Collection[str]) -> None:
    """Raise `CrossSite` when a page of another site would log its visitors in, as somebody of its choice (login CSRF):
    a change that surely comes from elsewhere gets no cookies. ``origins``: the policy's, which are not elsewhere."""
    arrival = arrival_of(scope)
    if credentials.session.mode is Mode.JWT or not arrival.changes:
        return
    if arrival.provenance(origins) is Provenance.FOREIGN:
        raise CrossSite("a login on a page of another site")


def delivered(
    response: Response, scope: Scope, credentials: Credentials, origins: Collection[str], *, renewed: bool = False
) -> Response:
    """The response with the cookies of these credentials, for the service itself. ``renewed`` as in `cookies`. Raises
    `CrossSite` and `Refusal`."""
    check_destination(scope, credentials, origins)
    return with_cookies(response, cookies(scope, credentials, renewed=renewed))


def deliver(response: Response, scope: Scope, credentials: Credentials, *, mount: str = "") -> Response:
    """The response with the cookies of these credentials: what an application with users of its own answers to its
    own login. It says where it has mounted the service: ``deliver(response, request.scope, made, mount="/auth")``. What
    the browser had ends once the answer is sent.

    Raises an ``HTTPException``: 403 as `check_destination` does, 400 as `require_cookies`."""
    auth = scope.get("state", {}).get(STATE_KEY)
    try:
        check_destination(scope, credentials, auth.policy.origins if auth is not None else ())
        with_cookies(response, cookies(scope, credentials, mount=mount))
    except (CrossSite, Refusal) as error:
        problem = problem_of(error)
        raise HTTPException(problem.status, problem.code, {"cache-control": "no-store"}) from error
    if isinstance(auth, Auth) and (ending := replaced(auth, arrival_of(scope), credentials)):
        response.background = BackgroundTask(afterwards(response.background, auth, ending))
    return response


def _session_cookie(names: CookieNames, credentials: Credentials) -> str:
    session = credentials.session
    max_age = int(session.absolute_deadline - session.seen) if session.remember else None
    return set_cookie(names.session, credentials.session_token or "", secure=names.secure, max_age=max_age)


def _token_cookies(names: CookieNames, path: str, credentials: Credentials) -> list[str]:
    max_age = credentials.refresh_expires_in
    access = set_cookie(names.access, credentials.access_token or "", secure=names.secure, max_age=max_age)
    refresh = set_cookie(
        names.refresh, credentials.refresh_token or "", secure=names.secure, path=path,
        same_site="Strict", max_age=max_age,
    )  # fmt: skip
    return [access, refresh]


def _delete_session(names: CookieNames) -> str:
    return delete_cookie(names.session, secure=names.secure)


def _delete_tokens(names: CookieNames, path: str) -> list[str]:
    return [
        delete_cookie(names.access, secure=names.secure),
        delete_cookie(names.refresh, secure=names.secure, path=path, same_site="Strict"),
    ]
