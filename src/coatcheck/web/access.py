"""Who may: somebody logged in, an administrator, the holder of a service key, or anybody on our own pages."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from starlette.requests import Request

from .. import acts, decide
from ..acting import known_as
from ..adapters.asgi import arrival_of, check_origin, identify
from ..adapters.lifespans import auth_of
from ..auth import Auth
from ..credentials.entropy import guessed
from ..credentials.transport import Credential, taken
from ..errors import ConfigurationError, CrossSite, Forbidden, InvalidCredential, MalformedCredential
from ..events import Act
from ..model import Identity, Mode
from .refusals import NO_SERVICE_KEY, WRONG_SERVICE_KEY, Refusal, not_logged_in

ADMIN: Final = "admin"
"""The role that the admin routes ask for."""

MIN_SERVICE_KEY: Final = 32
"""Characters of a service key at least."""


async def require_identity(request: Request, *, in_person: bool = True) -> tuple[Auth, Identity]:
    """Who is asking; the subject in person, unless anybody will do that policy lets in. Raises `Refusal` (nobody),
    `Forbidden`, `InvalidCredential`, `CrossSite` or `StoreUnavailable`."""
    auth = auth_of(request)
    identity = await identify(auth, request.scope)
    if identity is None:
        from_our_pages(auth, request)
        raise not_logged_in()
    known_as(identity.actor or identity.subject, identity.session_id)
    if in_person:
        decide.check_person(identity)
    return auth, identity


async def require_admin(request: Request) -> tuple[Auth, Identity]:
    """As `require_identity`; raises `Forbidden` for whoever is not an administrator."""
    try:
        auth, identity = await require_identity(request)
        decide.check_role(identity, ADMIN)
    except (Refusal, Forbidden, InvalidCredential, CrossSite) as error:
        tell_refused(acts.ADMIN_REFUSED, request, str(error))
        raise
    return auth, identity


def tell_refused(act: Act, request: Request, reason: str) -> None:
    """Tell of a call that was refused, by the route's template, so that a client writes nothing into the log."""
    route = request.scope.get("route")
    auth_of(request).events.emit(act, method=request.method, route=getattr(route, "path", ""), reason=reason)


def from_our_pages(auth: Auth, request: Request, answered_in: Mode = Mode.JWT) -> None:
    """For requests that do not ride on a cookie: raises `CrossSite` when one that may change something surely comes
    from elsewhere, and a cookie of ours came along or one will be set, as ``answered_in`` says. Where no browser sends
    or keeps anything by itself, it does not matter whose page asks."""
    arrival = arrival_of(request.scope)
    if arrival.changes and (answered_in is not Mode.JWT or arrival.has_cookies):
        check_origin(auth, arrival, None)


class ServiceKeys:
    """The keys with which other services introspect. Raises `ConfigurationError` for one that is too short or can be
    guessed."""

    def __init__(self, keys: Sequence[str]) -> None:
        if isinstance(keys, str):
            raise ConfigurationError("service_keys must be a list of keys, not one text")
        if any(len(key) < MIN_SERVICE_KEY for key in keys):
            raise ConfigurationError(f"a service key needs at least {MIN_SERVICE_KEY} characters")
        if why := next((why for key in keys if (why := guessed(key.encode()))), None):
            raise ConfigurationError(f"a service key can be guessed: it {why}; make one with `openssl rand -base64 32`")
        self._keys = tuple(key.encode() for key in keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        return f"<ServiceKeys {len(self._keys)}>"

    def require(self, request: Request) -> None:
        """Raises `Refusal` unless the request presents one of the keys as its bearer token. Takes the same time
        whichever key it is, if any."""
        try:
            given = _bearer_of(request)
        except MalformedCredential as error:
            tell_refused(acts.SERVICE_KEY_REFUSED, request, error.reason)
            raise Refusal(WRONG_SERVICE_KEY) from None
        if given is None:
            tell_refused(acts.SERVICE_KEY_REFUSED, request, "there is none")
            raise Refusal(NO_SERVICE_KEY)
        if not self._has(given):
            tell_refused(acts.SERVICE_KEY_REFUSED, request, "it is none of ours")
            raise Refusal(WRONG_SERVICE_KEY)

    def opens(self, request: Request) -> bool:
        """Whether the request presents one of the keys. For what serves everybody, and holders of a key better."""
        with suppress(MalformedCredential):
            given = _bearer_of(request)
            return given is not None and self._has(given)
        return False

    def check_if_given(self, request: Request) -> None:
        """As `require`, for a route that needs no key: only a wrong one is refused."""
        if arrival_of(request.scope).by_bearer:
            self.require(request)

    def _has(self, given: Credential) -> bool:
        token = given.token.encode("latin-1")
        matches = [hmac.compare_digest(key, token) for key in self._keys]
        return any(matches)


def _bearer_of(request: Request) -> Credential | None:
    arrival = arrival_of(request.scope)
    return taken(arrival.presented) if arrival.by_bearer else None
