"""What a remote verifier asks of the issuing service, over HTTP: feed, keys, introspection.

Nothing that comes back is believed before it has been bounded in size, checked in type and found to be what was asked
for. Whatever else happens, a silent or half-open service among it, is `StoreUnavailable`, in stated time. No proxy or
other setting is taken from the environment, and no redirect is followed: the service key goes where it was configured
to go, and nowhere else.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from . import arguments, feed_json
from .credentials.cookies import is_loopback_host
from .credentials.keyring import TrustedKeys
from .errors import ConfigurationError, InvalidKey, RevokedCredential, StoreUnavailable
from .extras import setting_needs
from .stores.base import FeedLost, FeedRead

if TYPE_CHECKING:
    import httpx

LONGEST_WAIT: Final = 5.0
"""Seconds that the service lets a request for the feed wait at most."""
_MOST_FEED: Final = 32 * 1024 * 1024
"""Bytes of an answer with a page of the feed: 10,000 events with long names."""
_MOST: Final = 1024 * 1024
"""Bytes of any other answer."""
_CONNECTIONS: Final = 8
"""For questions about tokens, and as many again for the feed and the keys."""
_SERVICE_KEY: Final = re.compile(r"[A-Za-z0-9._~+/=-]{32,}")
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"


class Refused(StoreUnavailable):
    """The service answers, but not in a way that will mend itself: a wrong service key or URL, no public keys."""


class _Introspection(msgspec.Struct, frozen=True):
    active: bool
    sub: str = ""
    sid: str = ""


class _Problem(msgspec.Struct, frozen=True):
    code: str


_introspection: Final = msgspec.json.Decoder(_Introspection).decode
_problem: Final = msgspec.json.Decoder(_Problem).decode


class IssuingService:
    """A client of the issuing service. ``timeout``: seconds an answer may take, beyond a wait that was asked for.

    Raises `ConfigurationError` for a URL or key that cannot be used."""

    def __init__(
        self, url: str, service_key: str, *, timeout: float, tls: ssl.SSLContext | None, allow_plain_http: bool
    ) -> None:
        arguments.kinds(str, url=url, service_key=service_key)
        arguments.numbers(timeout=timeout)
        arguments.kinds_or_none(ssl.SSLContext, tls=tls)
        arguments.flags(allow_plain_http=allow_plain_http)
        self.url = _checked_url(url, allow_plain_http)
        if not _SERVICE_KEY.fullmatch(service_key):
            raise ConfigurationError("service_key must have at least 32 characters out of A-Z a-z 0-9 . _ ~ + / = -")
        if not 0 < timeout < 3600:
            raise ConfigurationError("timeout must be a positive number of seconds")
        self._headers = {
            "Authorization": f"Bearer {service_key}",
            "Accept": f"{_JSON}, {_PROBLEM}",
            "Accept-Encoding": "identity",  # so that what is counted is what is read
        }
        self._timeout = timeout
        self._tls = tls
        self._httpx: Any = _import_httpx()
        _check_readable(self._httpx, self.url)
        self._followed: httpx.AsyncHTTPTransport | None = None
        self._asked: httpx.AsyncHTTPTransport | None = None
        self.max_staleness: float = float("inf")
        """What the service has promised with its last page of the feed, in seconds."""

    def __repr__(self) -> str:
        return f"<IssuingService {self.url}>"

    def open(self) -> None:
        """Make ready to connect. The lease hangs from feed and keys: they never queue behind questions about tokens."""
        tls = self._tls or ssl.create_default_context()
        self._followed, self._asked = self._connections(tls), self._connections(tls)

    def _connections(self, tls: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
        # Not a client: that would follow settings of the environment, keep cookies and log every request.
        transport: httpx.AsyncHTTPTransport = self._httpx.AsyncHTTPTransport(
            verify=tls,
            trust_env=False,
            limits=self._httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=60.0),
        )
        return transport

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        transports = self._followed, self._asked
        self._followed = self._asked = None
        async with AsyncExitStack() as steps:  # one that fails or is cancelled skips no other
            for transport in transports:
                if transport is not None:
                    steps.push_async_callback(transport.aclose)

    async def events(self, cursor: str | None, *, wait: float) -> FeedRead:
        """See `Feed.events`."""
        wait = min(wait, LONGEST_WAIT)
        asked = {"wait": f"{wait:.3f}"}
        if cursor is not None:
            asked["cursor"] = cursor
        status, body = await self._ask("/events", asked, patience=wait, most=_MOST_FEED)
        if status == 410 and _code_of(body) == "feed_lost":
            raise FeedLost("the issuing service says that the cursor proves nothing")
        _check_status(status)
        try:
            read, self.max_staleness = feed_json.read(body)
        except ValueError as error:
            raise StoreUnavailable(f"the issuing service's answer is {error}") from None
        return read

    async def keys(self) -> TrustedKeys:
        """The public keys, as they are in the service's store after this was called."""
        status, body = await self._ask("/.well-known/jwks.json", {})
        _check_status(status)
        try:
            return TrustedKeys.from_jwks(body)
        except InvalidKey as error:
            raise Refused(f"the issuing service's keys cannot be used: {error}") from None

    async def check(self, token: str, *, subject: str, session_id: str) -> None:
        """Ask whether an access token counts. Raises `RevokedCredential` when it does not."""
        status, body = await self._ask("/introspect", {}, form={"token": token})
        _check_status(status)
        try:
            found = _introspection(body)
        except (msgspec.MsgspecError, RecursionError):
            raise StoreUnavailable("the issuing service's answer is no introspection") from None
        if not found.active or found.sub != subject or found.sid != session_id:
            raise RevokedCredential("the issuing service says that it does not count")

    async def _ask(
        self, path: str, query: dict[str, str], *, patience: float = 0.0, most: int = _MOST,
        form: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:  # fmt: skip
        """Status and body of the answer. The whole exchange ends in time, whatever the other side does.

        It tells what is there now: no cache has met the URL, and the answer has to repeat the nonce in it."""
        transport = self._followed if form is None else self._asked
        if transport is None:
            raise StoreUnavailable("not connected")
        nonce = secrets.token_urlsafe(12)
        path = f"{path}?{urlencode(query | {'nonce': nonce})}"
        method = "GET" if form is None else "POST"
        request = self._httpx.Request(method, self.url + path, headers=self._headers, data=form)
        try:
            async with asyncio.timeout(patience + self._timeout):
                response = await transport.handle_async_request(request)
                try:
                    _check_form(response, nonce)
                    return response.status_code, await _body(response, most)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise StoreUnavailable("the issuing service did not answer in time") from error
        except (self._httpx.TransportError, OSError, ssl.SSLError) as error:
            raise StoreUnavailable(f"the issuing service cannot be reached: {error.__class__.__name__}") from error


def _check_form(response: httpx.Response, nonce: str) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != (_JSON if response.status_code == 200 else _PROBLEM):
        _check_status(response.status_code)
        raise StoreUnavailable("the issuing service's answer is not of the type that was asked for")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise StoreUnavailable("the issuing service's answer is compressed, which was not asked for")
    if response.status_code == 200 and response.headers.get(feed_json.NONCE_HEADER) != nonce:
        raise Refused("the answer comes from a cache, or without regard to the service key")


async def _body(response: httpx.Response, most: int) -> bytes:
    body = bytearray()
    async for chunk in response.stream:  # type: ignore[union-attr]  # an async transport has an async stream
        body += chunk
        if len(body) > most:
            raise StoreUnavailable("the issuing service's answer is too large")
    return bytes(body)


def _check_status(status: int) -> None:
    if status == 200:
        return
    if status in (401, 403):
        raise Refused("the issuing service refuses the service key")
    if status == 404:
        raise Refused("there is no issuing service at this URL; it ends with the prefix, as /auth does")
    raise StoreUnavailable(f"the issuing service answered {status}")


def _code_of(body: bytes) -> str:
    try:
        return _problem(body).code
    except (msgspec.MsgspecError, RecursionError):
        return ""


def _checked_url(url: str, allow_plain_http: bool) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigurationError("the issuing service's URL cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("the issuing service's URL must look like https://auth.example.com/auth")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigurationError("the issuing service's URL must have no user, password, query or fragment")
    if parts.scheme == "http" and not (allow_plain_http or is_loopback_host(parts.netloc.encode())):
        raise ConfigurationError(
            "over plain http everyone on the way reads the service key and may answer: use https, or "
            "allow_plain_http=True where the network itself is encrypted"
        )
    return url.rstrip("/")


def _check_readable(httpx: Any, url: str) -> None:
    """What connects reads the URL once more, and more strictly."""
    try:
        _ = httpx.URL(url).host
    except (httpx.InvalidURL, UnicodeError):
        raise ConfigurationError("the issuing service's URL cannot be read") from None


def _import_httpx() -> Any:
    with setting_needs("a RemoteVerifier", "httpx"):
        import httpx
    return httpx
