"""What comes with a request and says who asks and from where, read once, at the door. Pure.

Every rule further in (which cookies there are, who is asking, whether a change comes from our own pages, from which
device) is a function of an `Arrival`; nothing reads headers a second time. Origins are in canonical form in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from ..errors import MalformedCredential
from ..model import Device
from ..origins import canonical
from ..proxies import client_of, is_unbelieved
from .cookies import DEVELOPMENT, SECURE, CookieNames, find_pair, over_http
from .csrf import SAFE_METHODS, TOKEN_HEADER, Provenance, provenance
from .elsewhere import SIGNS, Doubt, from_elsewhere, is_public, over_tls
from .transport import Carrier, Credential, Flaw, cookie, find_presented, taken

MAX_USER_AGENT: Final = 256
"""Characters of a user agent that are kept."""

_FOREIGN: Final = "null"
"""The origin of what names none, or two."""
_READ: Final = frozenset(
    {
        b"authorization",
        b"cookie",
        b"host",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"user-agent",
        b"x-forwarded-ssl",
        TOKEN_HEADER,
        *SIGNS,
    }
)
ENVIRON: Final = tuple((f"HTTP_{name.decode().upper().replace('-', '_')}", name) for name in sorted(_READ))
"""Where WSGI has the same. Servers join repeated headers with a comma (RFC 3875 §4.1.18), so that two Authorization
headers are no bearer token in form. Joined cookies are not taken apart: a comma may stand in the value of any cookie,
and whoever can plant one of another name must not be able to plant ours with it."""
ENVIRON_SIGNS: Final = tuple(key for key, name in ENVIRON if name in SIGNS)
"""Those without which a request to this machine does not contradict itself."""

_SENT_ON: Final = frozenset({b"forwarded", b"x-real-ip", b"x-forwarded-host", b"x-forwarded-proto"})
"""Headers by which a proxy is known that does not send ``X-Forwarded-For``."""

_Found = Mapping[bytes, list[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What came with a request, in canonical form. Made by `arrival_of_asgi` or `arrival_of_wsgi`."""

    changes: bool
    """Whether the request may change something, and so has to show where it comes from. A WebSocket may."""
    secure: bool
    """Whether it came over TLS, as far as the server knows."""
    own_origin: str
    """The origin that the request was made to, as a browser writes it; empty when its Host is none."""
    names: CookieNames | None
    """What our cookies are called on it; None where none is read, which is over plain http to another machine, as far
    as anything says so."""
    counting: CookieNames | None
    """What those are called that count: `names`, or at another port of this machine than 8000, where none of these
    came, those of 8000. So a service there and an application that trusts it share a login in development."""
    presented: Credential | Flaw | None
    """What it says who is asking by: a bearer token goes before a cookie."""
    cookies: bytes = field(repr=False)
    """The Cookie headers, as one (RFC 9113 §8.2.3)."""
    site: str | None
    """``Sec-Fetch-Site``."""
    navigates: bool
    """Whether a person goes to a page, and no script asks (``Sec-Fetch-Mode``; without it, whatever only reads)."""
    origin: str | None
    """``Origin``, ``null`` for what is no origin."""
    csrf_token: str = field(repr=False)
    """``X-CSRF-Token``, empty when there is none."""
    user_agent: str
    """What can be printed of it."""
    peer: str
    """The address of the connection, or what the server takes for the client's where it believes a proxy by itself."""
    forwarded: tuple[str, ...]
    """``X-Forwarded-For``, believed by nobody yet."""
    sent_on: bool
    """Whether a proxy says in another way that the request is somebody else's."""
    doubt: Doubt | None
    """Why it is given no cookie although it could be, if whoever runs the server should know."""

    @property
    def credential(self) -> Credential | None:
        """What is presented, None for an anonymous request. Raises `MalformedCredential`."""
        return taken(self.presented)

    @property
    def settable(self) -> CookieNames | None:
        """`names`, where our cookies may be set too. None for whatever contradicts itself, such as a request of a page
        that is not on this machine: with a listed origin, the Host may be a proxy's."""
        return self.names if self.doubt is None else None

    @property
    def renewable(self) -> CookieNames | None:
        """As `settable`, for what takes the place of the cookies that came: those of 8000 stay shared."""
        return self.counting if self.doubt is None else None

    @property
    def is_lent(self) -> bool:
        """Whether what is presented is a cookie of port 8000, at another one: perhaps of another application, to which
        it means something."""
        return self.counting is not self.names and self.presented is not None and not self.by_bearer

    @property
    def drops_cookies(self) -> bool:
        """Whether the browser surely keeps none of ours from the answer: it asked for a script or a picture of another
        site, and they have ``SameSite`` (RFC 6265bis §5.7)."""
        return self.site == "cross-site" and not self.navigates

    @property
    def by_bearer(self) -> bool:
        """Whether a bearer token is presented, good or bad: a program asks, and is told when it is refused."""
        return self.presented is not None and not self.presented.carrier.is_cookie

    @property
    def may_be_renewed(self) -> bool:
        """Whether it says who is asking by the access cookie, which outlives its token: where that does not count any
        more, a refresh may follow."""
        return self.presented is not None and self.presented.carrier is Carrier.ACCESS_COOKIE

    @property
    def has_cookies(self) -> bool:
        """Whether any cookie of ours came along, the refresh cookie too, good or bad: a browser asks."""
        return next(_pairs(self.cookies, self._readable()), None) is not None

    @property
    def is_local(self) -> bool:
        """Whether it was made to this machine itself."""
        return over_http[self.own_origin.partition("://")[2].encode()] is not None

    def provenance(self, listed: Collection[str]) -> Provenance:
        """Where it comes from. ``listed``: the policy's origins."""
        return provenance(self.site, self.origin, self.own_origin, listed)

    def refresh_token(self) -> str | None:
        """What the refresh cookie holds. Raises `MalformedCredential` when it is there twice."""
        pair = None if self.counting is None else find_pair(self.cookies, f"{self.counting.refresh}=".encode())
        return None if pair is None else pair.partition(b"=")[2].decode("latin-1")

    def attempt(self) -> str:
        """The login under way that the cookie of the steps holds; empty where there is none, or two."""
        try:
            pair = None if self.names is None else find_pair(self.cookies, f"{self.names.attempt}=".encode())
        except MalformedCredential:
            return ""
        return "" if pair is None else pair.partition(b"=")[2].decode("latin-1")

    def everything(self) -> list[Credential]:
        """Every credential that is presented, in form only; also a cookie that is there twice, between which nobody
        chooses. For ending sessions, which is right for all of them, and for nothing else."""
        return [*((self.presented,) if isinstance(self.presented, Credential) and self.by_bearer else ()), *self.held()]

    def held(self) -> list[Credential]:
        """As `everything`, the cookies alone; also those of port 8000 at another one, which would count next."""
        return _held(self.cookies, self._readable())

    def overwritten(self) -> list[Credential]:
        """As `held`, without those of another port: a login sets others beside them."""
        return _held(self.cookies, () if self.names is None else (self.names,))

    def client(self, trusted: Sequence[str]) -> str:
        """The client's address, empty where none is known. ``trusted``: the policy's proxies."""
        return client_of(self.peer, self.forwarded, trusted, signs=self.sent_on)

    def is_unbelieved(self, trusted: Sequence[str]) -> bool:
        """Whether it says that it is sent on, and nobody believes it, or who is it is said where nobody looks."""
        return is_unbelieved(self.peer, self.forwarded, trusted, signs=self.sent_on)

    def device(self, trusted: Sequence[str], label: str = "") -> Device:
        """Where it comes from, to be shown to people."""
        return Device(user_agent=self.user_agent, ip=self.client(trusted), label=label)

    def _readable(self) -> Sequence[CookieNames]:
        if self.names is None:
            return ()
        return (self.names,) if self.names in (SECURE, DEVELOPMENT) else (self.names, DEVELOPMENT)


def arrival_of_asgi(scope: Mapping[str, Any], *, scheme: str | None = None, host: str | None = None) -> Arrival:
    """What came with the request of an ASGI scope. ``scheme``, ``host``: what a framework takes them for, where it
    believes a proxy."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            found.setdefault(name, []).append(value)
    if host is not None:
        found[b"host"] = [host.encode("latin-1", "replace")]
    changes = scope["type"] == "websocket" or scope.get("method") not in SAFE_METHODS
    client = scope.get("client")
    return _arrival(found, scheme or scope["scheme"], str(client[0]) if client else "", changes=changes)


def arrival_of_wsgi(environ: Mapping[str, Any], *, scheme: str | None = None, host: str | None = None) -> Arrival:
    """What came with the request of a WSGI environment (PEP 3333)."""
    # What no server hands over (PEP 3333: latin-1 only) is in no credential.
    found = {name: [environ[key].encode("latin-1", "replace")] for key, name in ENVIRON if key in environ}
    if host is not None:
        found[b"host"] = [host.encode("latin-1", "replace")]
    changes = environ["REQUEST_METHOD"] not in SAFE_METHODS
    return _arrival(
        found, scheme or environ["wsgi.url_scheme"], str(environ.get("REMOTE_ADDR") or ""), changes=changes
    )  # fmt: skip


def _arrival(found: _Found, scheme: str, peer: str, *, changes: bool) -> Arrival:
    host = found[b"host"][-1] if b"host" in found else b""
    cookies = b"; ".join(found.get(b"cookie", ()))
    secure = scheme in ("https", "wss")
    names, doubt = (SECURE, None) if secure else _over_http(found, host, peer)
    counting = _counting(cookies, names)
    return Arrival(
        changes=changes,
        secure=secure,
        own_origin=_own_origin(secure, host),
        names=names,
        counting=counting,
        presented=find_presented(found.get(b"authorization", ()), cookies or None, counting),
        cookies=cookies,
        site=_site(found.get(b"sec-fetch-site")),
        navigates=found.get(b"sec-fetch-mode", () if changes else [b"navigate"]) == [b"navigate"],
        origin=_origin(found.get(b"origin")),
        csrf_token=found[TOKEN_HEADER][0].decode("latin-1") if TOKEN_HEADER in found else "",
        user_agent=_printable(found[b"user-agent"][0]) if b"user-agent" in found else "",
        peer=peer,
        forwarded=tuple(value.decode("latin-1") for value in found.get(b"x-forwarded-for", ())),
        sent_on=not _SENT_ON.isdisjoint(found),
        doubt=doubt,
    )


def _over_http(found: _Found, host: bytes, client: str) -> tuple[CookieNames | None, Doubt | None]:
    headers = [(name, value) for name, values in found.items() for value in values]
    names = over_http[host]
    if names is None:
        return None, Doubt.TLS_NOT_BELIEVED if over_tls(headers) else None
    if from_elsewhere(headers, client):
        return None, Doubt.REWRITTEN_HOST
    # What is from another site is refused for that, by the cookies that it rides on.
    return names, Doubt.REWRITTEN_HOST if any(map(is_public, found.get(b"origin", ()))) else None


def _counting(cookies: bytes, names: CookieNames | None) -> CookieNames | None:
    if names is None or names is SECURE or names is DEVELOPMENT:
        return names
    return DEVELOPMENT if next(_pairs(cookies, (names,)), None) is None else names


def _held(cookies: bytes, readable: Sequence[CookieNames]) -> list[Credential]:
    carriers = {names.session: Carrier.SESSION_COOKIE for names in readable}
    carriers |= {names.access: Carrier.ACCESS_COOKIE for names in readable}
    return [cookie(carriers[name], name, value) for name, value in _pairs(cookies, readable) if name in carriers]


def _pairs(cookies: bytes, readable: Sequence[CookieNames]) -> Iterator[tuple[str, str]]:
    """Name and value of each cookie that is called so."""
    ours = {name for names in readable for name in (names.session, names.access, names.refresh)}
    for part in cookies.split(b";"):
        name, is_pair, value = part.decode("latin-1").strip(" \t").partition("=")
        if is_pair and name in ours:
            yield name, value


@lru_cache(maxsize=64)
def _own_origin(secure: bool, host: bytes) -> str:
    return canonical(f"{'https' if secure else 'http'}://{host.decode('latin-1')}") or ""


def _site(values: list[bytes] | None) -> str | None:
    if not values:
        return None
    return values[0].decode("latin-1") if len(set(values)) == 1 else "cross-site"


def _origin(values: list[bytes] | None) -> str | None:
    if not values:
        return None
    return canonical(values[0].decode("latin-1")) or _FOREIGN if len(set(values)) == 1 else _FOREIGN


def _printable(value: bytes) -> str:
    return "".join(char for char in value.decode("latin-1") if char.isprintable())[:MAX_USER_AGENT]
