"""Trading in: somebody who is logged in at the system that Coatcheck replaces goes on without logging in again.

The application says how to read the former credential. What is made of it is a session like any other, but as old as
the former login: it does not pass for a fresh one. A former credential counts once, so that a copy of it is worth
nothing half a minute later (`Policy.reuse_window`, for tabs that open at once) and undoes no logout from then on; and
not at all for a subject that was logged out everywhere, or whose password was changed, since Coatcheck took over.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ... import acts, arguments
from ...adapters.asgi import ASGIApp, Receive, Scope, Send, arrival_of, check_origin, header, refuse
from ...adapters.problems import problem_of
from ...adapters.visits import here
from ...auth import Auth
from ...credentials.cookies import delete_cookie
from ...errors import (
    CoatcheckError,
    ConfigurationError,
    Conflict,
    ExpiredCredential,
    InvalidCredential,
    InvalidLogin,
    RevokedCredential,
)
from ...issuer import Credentials
from ...model import Mode
from ...web import delivery
from ...web.bodies import answer_json
from ...web.logins import chosen_mode
from ...web.problems import problem_response
from ...web.refusals import public_problem
from ...web.replaced import replaced

_T = TypeVar("_T")
_REMEMBERED: Final = 10 * 365 * 86400.0
"""Seconds for which a former credential is known to have been used: longer than any of them lives."""
_COOKIE_MODES: Final = (Mode.SESSION, Mode.JWT_COOKIE)
_OF_THIS_HOST: Final = re.compile("/(?!/)")
"""How an address begins that no browser takes for another host's. A server may hand over what was asked for as it is,
and that may be a whole URL (RFC 9112 §3.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """What a former credential says, after its signature or its place in the former store was checked."""

    subject: str
    """Who it is, by the name that Coatcheck knows them by."""
    credential: str = field(repr=False)
    """Whatever in it is its own and no other's: it counts once. Of a signed text what was signed, for a signature may
    have several spellings; and never anything that was not checked, for then it counts as often as one likes."""
    also: tuple[str, ...] = field(default=(), repr=False)
    """What else would let the same person in, each as it would be `credential`: it is used up along with that."""
    expires: float = float("inf")
    """When it ends there, in seconds since the Unix epoch. It is refused from then on."""
    auth_time: float = 0.0
    """When they typed their password there, as far as it is known; 0: long ago."""
    amr: tuple[str, ...] = ("pwd",)
    """How they proved who they are (RFC 8176)."""
    cookies: tuple[str, ...] = ()
    """Names of cookies that the browser is told to forget (those of the path ``/`` without a domain)."""

    def __post_init__(self) -> None:
        """Raises `TypeError` for what is of another kind, and `ValueError` for times that are none."""
        arguments.kinds(str, subject=self.subject, credential=self.credential)
        arguments.numbers(auth_time=self.auth_time)
        if self.expires != float("inf"):
            arguments.numbers(expires=self.expires)
        arguments.collection(str, self.also, "also", "('name:7',)")


Reader = Callable[[Scope], "Awaitable[Former | None] | Former | None"]
"""Reads the former credential of a request. None when there is none, or when it is not genuine."""


async def exchange(auth: Auth, scope: Scope, former: Former, *, mode: Mode | str) -> Credentials:
    """The credentials of a new session for a former one. ``scope`` tells of the device.

    Asked again within `Policy.reuse_window` it makes another session, for tabs that open at once; later it is refused.
    Raises `InvalidCredential`, `StoreUnavailable`, `Refusal` for a mode that is not offered here, and
    `ConfigurationError` without a SQL database."""
    arrival = arrival_of(scope)
    mode = chosen_mode(auth, arrival, arguments.member(Mode, mode, "mode").value)
    now = auth.clock.now()
    if now >= former.expires:
        raise ExpiredCredential("former credential has expired")
    if await auth.epoch_of(former.subject) != 0:
        raise RevokedCredential("subject was logged out everywhere since")
    key = _counted_as(former.credential)
    count = await auth.counters.count_failure(key, now=now, window=_REMEMBERED)
    if count > 1:
        [(_, ends)] = await auth.counters.failures([key], now=now)
        if now - (ends - _REMEMBERED) > auth.policy.reuse_window:
            raise RevokedCredential("former credential was traded in before")
    for other in former.also:
        await auth.counters.count_failure(_counted_as(other), now=now, window=_REMEMBERED)
    try:
        credentials = await auth.login(
            former.subject,
            mode=mode,
            epoch=0,
            device=arrival.device(auth.policy.trusted_proxies),
            amr=former.amr,
            auth_time=former.auth_time,
        )
    except (Conflict, InvalidLogin) as error:
        raise RevokedCredential("subject may not log in, or was logged out everywhere since") from error
    for session_id in replaced(auth, arrival, credentials):
        await auth.revoke(session_id)
    auth.events.emit(acts.FORMER_TRADED, subject=former.subject, session=credentials.session.id)
    return credentials


async def trade_in(request: Request, auth: Auth, former: Former, *, mode: Mode | str, mount: str = "/auth") -> Response:
    """What a route of the application answers that takes a former token in its body: the same as a login, with the
    tokens of mode ``jwt`` or the cookies of the others, or a refusal. ``mount`` as in `delivery.refresh_path`."""
    return await traded_in(request.scope, auth, former, mode=mode, mount=mount)


async def traded_in(scope: Scope, auth: Auth, former: Former, *, mode: Mode | str, mount: str) -> Response:
    """`trade_in` for a request of any framework."""
    mode = arguments.member(Mode, mode, "mode")
    try:
        if mode is not Mode.JWT or arrival_of(scope).cookies:
            # Another site must not log its visitors in as somebody of its choice, nor trade in what they hold.
            check_origin(auth, arrival_of(scope), None)
        credentials = await exchange(auth, scope, former, mode=mode)
    except CoatcheckError as error:
        if isinstance(error, InvalidCredential):
            auth.events.emit(acts.FORMER_REFUSED, reason=error.reason)
        response = problem_response(public_problem(error))
        response.headers["cache-control"] = "no-store"
        return response
    response = answer_json(delivery.login_answer(credentials, None))
    response.headers["cache-control"] = "no-store"
    return delivery.with_cookies(response, set_cookies(scope, former, credentials, mount=mount))


class TradeIn:
    """ASGI middleware: a person who comes with a former cookie, and with none of ours, is logged in on the way.

    ``app.add_middleware(TradeIn, auth=auth, reader=reader)``. It acts on the first page that a browser loads, and sends
    it to the same address again, with our cookie in the place of the former one. Programs and scripts are left alone,
    and so is whoever presents a credential of ours, good or bad. A former cookie that is refused changes nothing: the
    person is anonymous and logs in. While it cannot be known, the answer is 503.

    The mode is the first of the policy's that has cookies; raises `ConfigurationError` when there is none.
    """

    def __init__(self, app: ASGIApp, auth: Auth, reader: Reader, *, mount: str = "/auth") -> None:
        self.app = app
        self._auth = auth
        self._reader = reader
        self._mount = mount
        self._mode = cookie_mode(auth.policy.modes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_visit(scope) and presents_nothing(scope):
            try:
                former = arguments.answered_or_none(Former, await _awaited(self._reader(scope)), "the reader")
                made = None if former is None else await exchange(self._auth, scope, former, mode=self._mode)
            except InvalidCredential as error:
                self._auth.events.emit(acts.FORMER_REFUSED, reason=error.reason)
            except CoatcheckError as error:
                await refuse(scope, send, problem_of(error))
                return
            else:
                if former is not None and made is not None:
                    response = Response(status_code=303, headers={"location": here(scope), "cache-control": "no-store"})
                    delivery.with_cookies(response, set_cookies(scope, former, made, mount=self._mount))
                    await response(scope, receive, send)
                    return
        await self.app(scope, receive, send)


def presents_nothing(scope: Scope) -> bool:
    """Whether a request comes with no credential of ours, good or bad, and could be given a cookie. What is lent may
    be another application's."""
    arrival = arrival_of(scope)
    return arrival.settable is not None and (arrival.presented is None or arrival.is_lent)


def is_visit(scope: Scope) -> bool:
    """Whether a browser loads a page: no script, no image, no program, nothing that changes anything. Also not where
    the address would be read as that of another host."""
    if scope["type"] != "http" or scope["method"] != "GET" or not _OF_THIS_HOST.match(here(scope)):
        return False
    fetched_as = header(scope, b"sec-fetch-mode")
    return fetched_as == b"navigate" or (not fetched_as and b"text/html" in header(scope, b"accept"))


def set_cookies(scope: Scope, former: Former, credentials: Credentials, *, mount: str) -> list[str]:
    """Set-Cookie values: ours, and the end of the former ones."""
    return [*delivery.cookies(scope, credentials, mount=mount), *_forgotten(scope, former)]


def cookie_mode(modes: tuple[Mode, ...]) -> Mode:
    """The first mode that has cookies. Raises `ConfigurationError` when there is none."""
    found = next((mode for mode in modes if mode in _COOKIE_MODES), None)
    if found is None:
        raise ConfigurationError("a former cookie can only be traded in for a mode with cookies: see policy.modes")
    return found


def _counted_as(credential: str) -> str:
    return f"former:{hashlib.sha256(credential.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _forgotten(scope: Scope, former: Former) -> list[str]:
    return [delete_cookie(name, secure=scope["scheme"] == "https") for name in former.cookies]


async def _awaited(found: Awaitable[_T] | _T) -> _T:
    return await found if inspect.isawaitable(found) else found
