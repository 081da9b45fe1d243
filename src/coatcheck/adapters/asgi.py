"""Plain ASGI: who is asking. Every other adapter stands on this one.

`AuthMiddleware` puts the `Identity`, or None for an anonymous request, into ``scope["coatcheck.identity"]``. It refuses
by itself a bad bearer token (401), a cross-site change that rides on a cookie (403), and anything while it cannot be
known who asks (503). A cookie that has ended makes a request anonymous: browsers keep sending it, and a public page
should not break over it. A WebSocket that came with an identity is guarded: it ends when the session does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol

from ..clock import Clock
from ..credentials.arrival import Arrival, arrival_of_asgi
from ..credentials.cookies import SECURE, find_pair, over_http
from ..credentials.csrf import Provenance
from ..credentials.elsewhere import from_elsewhere
from ..credentials.transport import Credential
from ..errors import CoatcheckError, ConfigurationError, CrossSite, InvalidCredential, MalformedCredential
from ..model import Identity, Mode
from ..policy import Policy
from ..verifier import Known
from .connections import Guarding, serve_guarded
from .doubts import tell
from .kept import binding, seal_in
from .problems import CONTENT_TYPE, Problem, problem_of
from .types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "ARRIVAL", "IDENTITY", "SECOND", "ASGIApp", "AuthMiddleware", "CsrfJudge", "GuardingKnower", "Knower", "Message",
    "Paths", "Receive", "Scope", "Send", "arrival_of", "check_origin", "header", "identify", "identify_arrival",
    "identify_arrival_leniently", "identify_leniently", "layers", "path_below", "recognise", "refuse", "varied",
    "varying",
]  # fmt: skip


class Knower(Protocol):
    """What verifies for an adapter: an `Auth`, or a `RemoteVerifier` where the database is elsewhere."""

    policy: Policy
    clock: Clock
    known: Known

    async def verify(self, credential: Credential) -> Identity:
        """The identity. Raises `InvalidCredential` or `StoreUnavailable`."""

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite` unless this is the session's CSRF token."""


class GuardingKnower(Knower, Guarding, Protocol):
    """A `Knower` that also guards long-lived connections, as both kinds do."""


IDENTITY: Final = "coatcheck.identity"
"""Scope key: the `Identity`, or None."""

ARRIVAL: Final = "coatcheck.arrival"
"""Scope key: the `Arrival`, once somebody has asked for it."""


SECOND: Final = (
    "this application has been given an Auth already, and a second one would be asked nowhere or have the last word: "
    "make an application of its own for the other, or leave one out"
)
_SESSIONS: Final = "SessionMiddleware"
_OF_LIBRARIES: Final = ("starlette", "starsessions")
"""What keeps ``scope["session"]``; others of the name keep sessions of databases."""
_INSIDE: Final = (
    "SessionMiddleware stands inside of AuthMiddleware, so what is kept there for one person would be handed to the "
    "next: add AuthMiddleware first, for what is added later stands outside"
)
_SEMICOLON: Final = ord(";")
"""As a number: ``b";" in text`` costs half as much as a whole hit."""


def header(scope: Scope, name: bytes) -> bytes:
    """The first value of a header, or ``b""``."""
    return next((value for key, value in scope["headers"] if key == name), b"")


def path_below(scope: Scope) -> str:
    """The path below the root path, whether or not the server puts that before it."""
    root, path = str(scope.get("root_path", "")).rstrip("/"), str(scope["path"])
    below = path.removeprefix(root)
    return below if not below or below.startswith("/") else path


def arrival_of(scope: Scope) -> Arrival:
    """What came with the request: read at the door, and the same for everybody further in."""
    found: Arrival | None = scope.get(ARRIVAL)
    if found is None:
        found = scope[ARRIVAL] = arrival_of_asgi(scope)
    return found


class CsrfJudge(Protocol):
    """The part of a `Knower`, of either kind, that is asked where a request comes from."""

    @property
    def policy(self) -> Policy: ...

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite` unless this is the session's CSRF token."""


def check_origin(auth: CsrfJudge, arrival: Arrival, session_id: str | None, form_token: str | None = None) -> None:
    """Raise `CrossSite` unless a state-changing request comes from our own pages.

    ``session_id``: the session of the cookie it rides on; None when it rides on none, and then only what surely comes
    from elsewhere is refused. A program that sends neither ``Sec-Fetch-Site`` nor ``Origin`` shows the session's CSRF
    token instead, in ``X-CSRF-Token`` or, from a form, as ``form_token``.
    """
    found = arrival.provenance(auth.policy.origins)
    if found is Provenance.OWN or (found is Provenance.UNKNOWN and session_id is None):
        return
    if found is Provenance.FOREIGN or session_id is None:
        raise CrossSite("request comes from another site")
    auth.check_csrf_token(form_token or arrival.csrf_token, session_id)


def recognise(known: Known, scope: Scope) -> Identity | None:
    """The hit path of a request that reads: the identity if its credential is in memory, else None.

    ``known`` is `AccessVerifier.known`. One pass over the headers and one lookup; `identify` does everything else, also
    for what is malformed."""
    authorization = cookies = None
    host = b""
    for name, value in scope["headers"]:  # `collect`, without what a call costs
        if name == b"cookie":
            cookies = value if cookies is None else cookies + b"; " + value
        elif name == b"host":
            host = value
        elif name == b"authorization":
            if authorization is not None:
                return None
            authorization = value
    if authorization is not None:
        # Nothing else: the table also knows cookies, and they count in their own header only.
        identity = known(authorization)
        return identity if identity is not None and identity.mode is Mode.JWT else None
    if not cookies:
        return None
    scheme = scope["scheme"]
    if scheme == "https":
        names = SECURE
    elif scheme != "http" or (found := over_http[host]) is None or _is_from_elsewhere(scope):
        return None
    else:
        names = found
    if _SEMICOLON not in cookies:  # ours alone, as a program or a plain site sends it
        return known(cookies) if cookies[0] == names.first_byte else None
    try:
        pair = find_pair(cookies, names.session_needle) or find_pair(cookies, names.access_needle)
    except MalformedCredential:
        return None
    return None if pair is None else known(pair)


def _is_from_elsewhere(scope: Scope) -> bool:
    client = scope.get("client")
    return from_elsewhere(scope["headers"], client[0] if client else "")


async def identify(auth: Knower, scope: Scope) -> Identity | None:
    """The identity behind a request, None when it presents nothing.

    Raises `InvalidCredential`, `CrossSite` or `StoreUnavailable`."""
    return await identify_arrival(auth, arrival_of(scope))


async def identify_leniently(auth: Knower, scope: Scope) -> Identity | None:
    """As `identify`, but a cookie that is refused counts as none: its browser is anonymous."""
    return await identify_arrival_leniently(auth, arrival_of(scope))


async def identify_arrival(auth: Knower, arrival: Arrival) -> Identity | None:
    """As `identify`, for an adapter that has made the `Arrival` itself."""
    tell(auth, arrival)
    credential = arrival.credential
    if credential is None:
        return None
    identity = auth.known(credential.key) or await auth.verify(credential)
    if arrival.changes and not arrival.by_bearer:
        check_origin(auth, arrival, identity.session_id)
    return identity


async def identify_arrival_leniently(auth: Knower, arrival: Arrival) -> Identity | None:
    """As `identify_leniently`, for an adapter that has made the `Arrival` itself."""
    try:
        return await identify_arrival(auth, arrival)
    except InvalidCredential:
        if arrival.by_bearer:
            raise
        return None


_VARY: Final = (b"vary", b"Cookie, Authorization")


def varied(send: Send, message: Message) -> Awaitable[None]:
    """Send a message on, and say of an answer that it depends on who asks: whatever keeps it must not hand it to
    somebody else. As ``partial(varied, send)`` it costs an answer no coroutine of its own."""
    if message["type"] == "http.response.start":
        headers = message["headers"] = [*message.get("headers", ())]
        if b"vary" in dict(headers):
            message["headers"] = varying(headers)
        else:
            headers.append(_VARY)
    return send(message)


def varying(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer together with ``Vary: Cookie, Authorization``, in one line with what it says already:
    what others add to ``Vary`` later, they add to the first line and drop the rest. A copy, for an answer may be one
    that the application keeps."""
    given = [*headers]
    found = b", ".join(value for name, value in given if name == b"vary")
    names = {name.strip().lower() for name in found.split(b",")}
    missing = [] if b"*" in names else [name for name in (b"Cookie", b"Authorization") if name.lower() not in names]
    rest = [item for item in given if item[0] != b"vary"]
    return [*rest, (b"vary", b", ".join([*([found] if found else []), *missing]))]


class Paths:
    """Paths below the application's root, such as ``/hooks``, each with all that is below it.

    Raises `ConfigurationError` for what is no list of such, and for the root itself."""

    def __init__(self, paths: Sequence[str]) -> None:
        if isinstance(paths, str) or not all(path.startswith("/") and path.strip("/") for path in paths):
            raise ConfigurationError('paths to leave out are a list such as exclude=["/hooks"], and never all of them')
        self._begin = tuple(f"{path.rstrip('/')}/" for path in paths)

    def __bool__(self) -> bool:
        return bool(self._begin)

    def hold(self, scope: Scope) -> bool:
        """Whether a request goes there."""
        return f"{path_below(scope)}/".startswith(self._begin)


class AuthMiddleware:
    """Pure ASGI middleware: ``AuthMiddleware(app, auth)``. See the module for what it does.

    ``auth`` is an `Auth` or a `RemoteVerifier`; start it with ``lifespan=auth.lifespan`` or ``async with auth``.
    ``exclude``: paths whose bearer tokens are somebody else's, such as webhooks, each with all that is below it.
    Nothing is refused there and nobody is known, whatever they present. Raises `ConfigurationError`.
    """

    def __init__(self, app: ASGIApp, auth: GuardingKnower, *, exclude: Sequence[str] = ()) -> None:
        """Raises `ConfigurationError` also where one with another ``auth`` is inside: it would have the last word. So
        with a ``SessionMiddleware`` of Starlette or starsessions, whose sessions could not be kept apart."""
        for inner in layers(app):
            if isinstance(inner, AuthMiddleware) and inner.auth is not auth:
                raise ConfigurationError(SECOND)
            if any(map(_keeps_sessions, type(inner).__mro__)):
                raise ConfigurationError(_INSIDE)
        self.app: ASGIApp = app
        self.auth: GuardingKnower = auth
        self._excluded = Paths(exclude)
        self._has_apart = bool(self._excluded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._has_apart and self._goes_apart(scope):
            await self.app(scope, receive, send)
            return
        if (method := scope.get("method")) == "GET" or method == "HEAD":  # of HTTP alone: nothing else has one
            identity = recognise(self.auth.known, scope)
            if identity is not None:
                scope[IDENTITY] = identity
                if "session" in scope:
                    send = binding(scope, identity, send)
                try:
                    await self.app(scope, receive, partial(varied, send))
                except BaseException:
                    seal_in(scope)
                    raise
                return
        await self.look_closely(scope, receive, send)

    async def look_closely(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything but a hit."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            identity = scope[IDENTITY] = await identify_leniently(self.auth, scope)
        except CoatcheckError as error:
            await refuse(scope, send, problem_of(error))
            return
        self.attach(scope, identity)
        if "session" in scope:
            send = binding(scope, identity, send, renewable=arrival_of(scope).may_be_renewed)
        if scope["type"] == "http":
            try:
                await self.app(scope, receive, partial(varied, send))
            except BaseException:
                seal_in(scope)
                raise
        elif identity is not None:
            await serve_guarded(self.auth, identity, self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def attach(self, scope: Scope, identity: Identity | None) -> None:
        """Put what a framework wants besides into the scope; for adapters."""

    def _goes_apart(self, scope: Scope) -> bool:
        """Whether a request is left alone; on a path that is left out, as one of nobody."""
        if scope["type"] not in ("http", "websocket") or not self._excluded.hold(scope):
            return False
        scope[IDENTITY] = None
        self.attach(scope, None)
        return True


def _keeps_sessions(kind: type) -> bool:
    return kind.__name__ == _SESSIONS and kind.__module__.partition(".")[0] in _OF_LIBRARIES


def layers(app: object) -> Iterator[object]:
    """An application and what it has inside: middlewares call what is inside of them their app."""
    while app is not None:
        yield app
        app = getattr(app, "app", None)


async def refuse(scope: Scope, send: Send, problem: Problem) -> None:
    """Answer with a problem. A WebSocket is closed before it was accepted, with 4000 + status (so 401 is 4401)."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4000 + problem.status, "reason": problem.code})
        return
    body = problem.body()
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
