"""Django's own login form, the admin's and every application that calls ``django.contrib.auth.login``: they give a
Coatcheck session, and ``logout`` ends it.

Django announces a login when it has been checked. The subject's epoch must be read before the password is, so it is
checked again here that the user is as they were: if the password was changed in between, the login is refused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import router
from django.http import HttpRequest

from .. import auth as coatcheck
from ..adapters.doubts import tell
from ..blocking import Auth
from ..credentials.cookies import CookieNames
from ..credentials.transport import Carrier, Credential, cookie
from ..errors import Conflict, InvalidCredential, StepRequired
from ..issuer import Credentials
from ..model import Mode
from .kept import forget_messages, turn_at_login
from .middleware import COOKIES, Cookie
from .requests import MADE, arrival_of
from .users import DjangoUsers, is_active


def listen() -> None:
    """Connect the signals. The application's start does it."""
    user_logged_in.connect(_logged_in, dispatch_uid="coatcheck.logged_in")
    user_logged_out.connect(_logged_out, dispatch_uid="coatcheck.logged_out")


def _logged_in(request: HttpRequest | None, user: Any, **_: Any) -> None:
    """Raises `BadRequest` where a browser can be given no cookie, `PermissionDenied` for a login that lost a race, and
    where the policy knows no sessions in cookies."""
    made = None if request is None else request.META.get(MADE)
    if request is None or made is None or not isinstance(made.users, DjangoUsers):
        return
    auth, users = made.knower, made.users
    if not isinstance(auth, Auth) or Mode.SESSION not in auth.policy.modes:
        raise PermissionDenied("logins of mode 'session' are not made here")
    arrival = arrival_of(request)
    tell(auth, arrival, refused=True)
    names = arrival.settable
    if names is None:
        raise BadRequest("over plain http our cookies are only for loopback addresses: use https, or see the log")
    if arrival.drops_cookies:
        raise BadRequest("a script of another site can be given no cookies")
    subject = users.subject_of(user)
    epoch = auth.run(lambda inner: inner.epoch_of(subject))
    now = users.find(subject, router.db_for_write(type(user)))
    if now is None or not is_active(now) or now.password != user.password:
        raise PermissionDenied("the user was changed while the password was checked")
    try:
        credentials = auth.login(
            subject, mode=Mode.SESSION, epoch=epoch, device=arrival.device(auth.policy.trusted_proxies)
        )
    except Conflict as error:
        raise PermissionDenied("sessions were ended while the password was checked") from error
    except StepRequired as error:
        raise PermissionDenied("a second factor is required: log in on the service's own page") from error
    ending = auth.run(lambda inner: _named(inner, arrival.overwritten()))
    handed_out = request.identity if COOKIES in request.META else None  # type: ignore[attr-defined]
    if handed_out is not None:  # by an earlier step of the same request, and the browser never gets its cookie
        ending.append(handed_out.session_id)
    for session_id in ending:
        auth.revoke(session_id)  # one browser, one session
    turn_at_login(request, subject)
    hand_out(request, auth, names, credentials)


def hand_out(request: HttpRequest, auth: Auth, names: CookieNames, credentials: Credentials) -> None:
    """From now on the request is this session's, and its answer brings the cookie of mode ``session``."""
    session = credentials.session
    max_age = int(session.absolute_deadline - session.seen) if session.remember else None
    sent = Cookie(names.session, credentials.session_token or "", names.secure, max_age)
    request.identity = auth.verify(  # type: ignore[attr-defined]  # the middleware has set it
        cookie(Carrier.SESSION_COOKIE, names.session, sent.value)
    )
    request.META[COOKIES] = [sent, Cookie(names.access, "", names.secure)]


async def _named(auth: coatcheck.Auth, credentials: list[Credential]) -> list[str]:
    """The sessions that these of the browser's cookies name, whosever and of whichever mode."""
    found = []
    for credential in credentials:
        with suppress(InvalidCredential):
            found.append(auth.verifier.session_id_of(credential))
    return found


def _logged_out(request: HttpRequest | None, **_: Any) -> None:
    """Raises `StoreUnavailable`: then nobody has been logged out."""
    made = None if request is None else request.META.get(MADE)
    if request is None or made is None or not isinstance(made.knower, Auth):
        return
    forget_messages(request)
    auth, arrival = made.knower, arrival_of(request)
    names = arrival.names
    identity = request.identity  # type: ignore[attr-defined]  # the middleware has set it
    if identity is not None:
        # And what would count in its place, so that whoever has logged out is logged out.
        held = auth.run(lambda inner: _named(inner, arrival.held()))
        for session_id in dict.fromkeys([identity.session_id, *held]):
            auth.revoke(session_id)
        request.identity = None  # type: ignore[attr-defined]
    if names is not None:
        # The refresh cookie is not seen here; its session has ended.
        request.META[COOKIES] = [Cookie(name, "", names.secure) for name in (names.session, names.access)]
