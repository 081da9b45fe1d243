"""The service for frameworks of threads: the ASGI application, asked from a WSGI one.

The application runs on the background loop of a `coatcheck.blocking.Auth`. ``/events`` is not there: each remote
verifier would hold a thread for as long as it waits for news, which is always. Whoever has remote verifiers runs
``coatcheck serve`` beside the application, on the same database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from ..adapters.asgi import ASGIApp, Scope, arrival_of
from ..adapters.problems import CONTENT_TYPE, Problem
from ..adapters.wsgi import Environ, header_bytes, path_text, scope_of
from ..auth import Auth
from ..blocking import Auth as BlockingAuth
from ..errors import ConfigurationError
from ..issuer import Credentials
from ..site import NOBODYS, Site
from ..web.access import ServiceKeys
from ..web.envelope import MAX_BODY, with_headers
from ..web.metrics import counts_of
from ..web.refusals import BY_STATUS, TOO_LARGE, Refusal
from ..web.replaced import replaced
from .app import auth_app
from .bridge import Answered, answer

StartResponse = Callable[..., Any]

_NO_HEADER: Final = frozenset({"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING"})
"""Where the body's length and type are not: WSGI has names of their own for these. It comes whole."""
_MAX_DIGITS: Final = 18


class WsgiAuthApp:
    """The API and the pages as a WSGI application, to be mounted: `coatcheck.service.auth_app` for threads.

    Alone it is for werkzeug's `DispatcherMiddleware` and its like, which move the mount path to ``SCRIPT_NAME``; for
    frameworks with routes of their own there are `read_body` and `answer`. The arguments are `auth_app`'s; raises
    `ConfigurationError`.
    """

    def __init__(
        self,
        auth: BlockingAuth,
        *,
        service_keys: Sequence[str] = (),
        pages: bool = True,
        site: Site | Mapping[str, Any] = NOBODYS,
    ) -> None:
        if not isinstance(auth, BlockingAuth):  # who has no type checker takes one of the others, whose names are alike
            raise ConfigurationError("the service behind WSGI needs an Auth for threads: coatcheck.blocking.Auth(...)")
        ServiceKeys(service_keys)  # one that is too short is told at once, and not at the first request
        counts_of(auth.events)  # so is a directory that cannot be used; and what happens until then is counted
        self._auth = auth
        self._service_keys = tuple(service_keys)
        self._pages = pages
        self._site = Site.of(site)
        self._made: tuple[Auth, asyncio.AbstractEventLoop, ASGIApp] | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            answered = self.answer(environ, read_body(environ))
        except Refusal as refusal:
            answered = refused(environ, refusal.problem, self._auth)
        status = f"{answered.status} {HTTPStatus(answered.status).phrase}"
        start_response(status, answered.text_headers())
        return [answered.body]

    def answer(self, environ: Environ, body: bytes, *, prefix: str = "") -> Answered:
        """What the service answers to a request with this body. ``prefix``: the path below ``SCRIPT_NAME`` at which it
        is mounted, such as ``/auth``; empty when a dispatcher has moved that to ``SCRIPT_NAME``."""
        return self.ask(service_scope(environ, prefix, len(body)), body)

    def ask(self, scope: Scope, body: bytes) -> Answered:
        """The same for a whole ASGI scope, as `service_scope` makes one."""
        return self._auth.run(lambda auth: self._answer(auth, scope, body))

    async def _answer(self, auth: Auth, scope: Scope, body: bytes) -> Answered:
        loop = asyncio.get_running_loop()
        if self._made is None or self._made[:2] != (auth, loop):  # the first request, or the first after a fork
            app = auth_app(auth, service_keys=self._service_keys, pages=self._pages, feed=False, site=self._site)
            self._made = (auth, loop, app)
        return await answer(self._made[2], scope, body)


def end_replaced(auth: object, scope: Scope, credentials: Credentials) -> None:
    """End what these credentials take the place of, when an application hands them out by itself."""
    if isinstance(auth, BlockingAuth) and (ending := auth.run(lambda running: _replaced(running, scope, credentials))):
        for session_id in ending:
            auth.revoke(session_id)


async def _replaced(auth: Auth, scope: Scope, credentials: Credentials) -> list[str]:
    return replaced(auth, arrival_of(scope), credentials)


def service_scope(environ: Environ, prefix: str, length: int) -> Scope:
    """The whole ASGI scope of a request: every header as the server had it, and the path as `WsgiAuthApp.answer` says.

    ``length``: bytes of the body that was read, whatever the client announced."""
    headers = [
        (key[5:].replace("_", "-").lower().encode("latin-1", "replace"), header_bytes(value))
        for key, value in environ.items()
        if key.startswith("HTTP_") and key not in _NO_HEADER
    ]
    if environ.get("CONTENT_TYPE"):
        headers.append((b"content-type", header_bytes(environ["CONTENT_TYPE"])))
    if length:
        headers.append((b"content-length", str(length).encode()))
    root_path = path_text(environ, "SCRIPT_NAME").rstrip("/")
    server = environ.get("SERVER_NAME")
    return {
        **scope_of(environ),
        "headers": headers,
        "root_path": root_path + prefix.rstrip("/"),
        **({"app_root_path": root_path} if prefix else {}),
        "query_string": header_bytes(environ.get("QUERY_STRING", "")),
        "server": (server, int(environ.get("SERVER_PORT") or 0)) if server else None,
    }


def check_length(environ: Environ) -> int | None:
    """The length of the body that a request announces; None when it announces none.

    Raises `Refusal`: 413 for more than `MAX_BODY` bytes, 400 for what is no length."""
    text: str = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Refusal(BY_STATUS[400])
    if len(text) > _MAX_DIGITS or int(text) > MAX_BODY:
        raise Refusal(TOO_LARGE)
    return int(text)


def check_body(environ: Environ, body: bytes) -> bytes:
    """The body. Raises `Refusal` as `check_length` does, and 400 when it is not as long as announced: what a client did
    not send to its end must not be acted upon."""
    announced = check_length(environ)
    if len(body) > MAX_BODY:
        raise Refusal(TOO_LARGE)
    if announced is not None and len(body) != announced:
        raise Refusal(BY_STATUS[400])
    return body


def read_body(environ: Environ) -> bytes:
    """The body of a request of which nothing has been read yet, and never more of it than `MAX_BODY` bytes and one.

    A body of no announced length (chunked) is read only where the server says that it knows its end
    (``wsgi.input_terminated``); elsewhere it counts as empty, for reading on would wait for ever. Raises `Refusal` as
    `check_body` does."""
    announced = check_length(environ)
    wanted = MAX_BODY + 1 if announced is None else announced
    if announced is None and not environ.get("wsgi.input_terminated"):
        return b""
    stream = environ["wsgi.input"]
    parts: list[bytes] = []
    try:
        while wanted > 0 and (part := stream.read(wanted)):
            parts.append(part)
            wanted -= len(part)
    except OSError as error:  # the client is gone, or its chunks are none
        raise Refusal(BY_STATUS[400]) from error
    return check_body(environ, b"".join(parts))


def refused(environ: Environ, problem: Problem, auth: BlockingAuth) -> Answered:
    """The answer for a request that the service is not even asked. ``auth``: whose service it is."""
    body = problem.body()
    headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers]
    shown = b"" if environ["REQUEST_METHOD"] == "HEAD" else body
    return Answered(problem.status, with_headers(scope_of(environ), headers, auth.policy.hsts), shown)
