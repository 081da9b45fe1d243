"""Somebody at an application of the suite: holds credentials as a client of its mode does, and sends the same."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from coatcheck import Auth, Credentials, Mode
from coatcheck.credentials.cookies import CookieNames, names_for
from tests.adapters.suite.contract import Answer, Headers, Served, Setting

T = TypeVar("T")
PASSWORD = "nine brown owls"
HTTPS = "https://app.example"
LISTED = "https://spa.example"
"""An origin that the policy of the suite lists."""
OWN: Headers = (("Sec-Fetch-Site", "same-origin"),)
"""What a browser says of a request by a page of the same origin."""
_NUMBERS = count()


@dataclass
class Site:
    """A running application and how it was set up. Tests share it: each has people of its own."""

    served: Served
    setting: Setting

    async def run(self, work: Callable[[Auth], Awaitable[T]]) -> T:
        return await self.served.run(work)

    async def person(self, *roles: str) -> Person:
        """Somebody new, with an account."""
        email = f"person{next(_NUMBERS)}@example.com"
        account = await self.run(lambda auth: auth.accounts.register(email, PASSWORD))
        if roles:
            await self.run(lambda auth: auth.accounts.set_roles(account.id, roles))
        return Person(self, email, account.id)

    def visitor(self, mode: Mode, base: str = HTTPS, more: Headers = ()) -> Visitor:
        """Nobody yet. ``more``: headers of every request, as a proxy adds them."""
        return Visitor(self, mode, base, more)

    def pass_time(self, seconds: float) -> None:
        self.setting.clock.advance(seconds)


@dataclass
class Person:
    """An account."""

    site: Site
    email: str
    subject: str

    async def at(self, mode: Mode, base: str = HTTPS) -> Visitor:
        """Logged in by the library, as an application with a login of its own does it."""
        visitor = self.site.visitor(mode, base)
        visitor.hold(await self.site.run(lambda auth: auth.login(self.subject, mode=mode)))
        return visitor

    async def set_roles(self, *roles: str) -> None:
        await self.site.run(lambda auth: auth.accounts.set_roles(self.subject, roles))

    async def log_in(self, visitor: Visitor, **more: Any) -> Answer:
        """Through the mounted service."""
        body = {"email": self.email, "password": PASSWORD, "mode": visitor.mode.value, **more}
        return await visitor.post("/auth/login", body)


@dataclass
class Visitor:
    """What a client has and how it asks."""

    site: Site
    mode: Mode
    base: str
    more: Headers = ()
    cookies: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name to value and path."""
    access: str = ""
    refresh: str = ""
    csrf: str = ""
    session: str = ""

    @property
    def names(self) -> CookieNames:
        """What our cookies are called here."""
        scheme, _, host = self.base.partition("://")
        if any(name.lower() == "x-forwarded-proto" for name, _ in self.more):
            scheme = "https"
        found = names_for(scheme, host.encode())
        assert found is not None, "no cookies here"
        return found

    def hold(self, made: Credentials) -> None:
        """Keep what a login gave. A client of a mode with cookies has been sent them by the application."""
        self.session, self.csrf = made.session.id, made.csrf_token
        if made.session_token is not None:
            self.cookies[self.names.session] = (made.session_token, "/")
        elif self.mode is Mode.JWT_COOKIE:
            self.cookies[self.names.access] = (made.access_token or "", "/")
            self.cookies[self.names.refresh] = (made.refresh_token or "", f"{self.site.setting.prefix}/auth/refresh")
        else:
            self.access, self.refresh = made.access_token or "", made.refresh_token or ""

    def hold_as(self, other: Visitor) -> None:
        """Take what somebody else holds."""
        self.cookies = dict(other.cookies)
        self.access, self.refresh, self.csrf, self.session = other.access, other.refresh, other.csrf, other.session

    @property
    def refresh_token(self) -> str:
        """In whatever it is kept; empty when there is none."""
        return self.refresh or self.cookies.get(self.names.refresh, ("", ""))[0]

    @property
    def token(self) -> str:
        """What it presents, without its carrier."""
        if self.mode is Mode.JWT:
            return self.access
        return self.cookies[self.names.session if self.mode is Mode.SESSION else self.names.access][0]

    @token.setter
    def token(self, token: str) -> None:
        if self.mode is Mode.JWT:
            self.access = token
        else:
            self.cookies[self.names.session if self.mode is Mode.SESSION else self.names.access] = (token, "/")

    def carried(self, path: str = "/") -> Headers:
        """The headers that carry the credential to a path."""
        if self.access:
            return (("Authorization", f"Bearer {self.access}"),)
        pairs = [f"{name}={value}" for name, (value, at) in self.cookies.items() if path.startswith(at)]
        return (("Cookie", "; ".join(pairs)),) if pairs else ()

    async def ask(self, method: str, path: str, more: Headers = (), body: Any = None) -> Answer:
        """One request with what it holds, and nothing of where it comes from but what ``more`` says."""
        path = self.site.setting.prefix + path
        headers = [*self.carried(path), *self.more, *more]
        content = b""
        if body is not None:
            content = json.dumps(body).encode()
            headers.append(("Content-Type", "application/json"))
        return await self.site.served.request(method, path, headers=headers, body=content, base=self.base)

    async def get(self, path: str) -> Answer:
        return await self.ask("GET", path)

    async def post(self, path: str, body: Any = None) -> Answer:
        """From a page of the same origin. What the answer gives is kept, as a client keeps it."""
        answer = await self.ask("POST", path, OWN, body)
        for name, value, attributes in set_cookies(answer):
            if attributes.get("max-age") == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = (value, attributes["path"])
        if answer.status == 200:
            given = answer.json()
            self.access = given.get("access_token", "")
            self.refresh = given.get("refresh_token", "")
            self.csrf = given.get("csrf_token", self.csrf)
            self.session = given.get("session", {}).get("id", self.session)
        return answer

    async def renew(self) -> Answer:
        """Refresh, as a client of its mode does."""
        return await self.post("/auth/refresh", {"refresh_token": self.refresh} if self.refresh else None)

    async def who(self) -> Any:
        """The subject that a public route sees, or None."""
        answer = await self.get("/open")
        assert answer.status == 200, answer
        return answer.json()["subject"]


def set_cookies(answer: Answer) -> list[tuple[str, str, dict[str, str]]]:
    """Name, value and attributes (in lower case) of each Set-Cookie."""
    found = []
    for header, text in answer.headers:
        if header == "set-cookie":
            (name, value), *rest = ((part + "=").split("=", 2)[:2] for part in text.split("; "))
            found.append((name, value, {key.lower(): value for key, value in rest}))
    return found


def is_refused(answer: Answer, status: int, *codes: str) -> bool:
    """Whether it is this refusal, in the form that every adapter gives it: no cache keeps it, and a 401 says what would
    do, as does a 403 for a missing role. Fails where it is this status in another form."""
    if answer.status != status:
        return False
    assert answer.header("cache-control") == "no-store", answer
    challenge = answer.header("www-authenticate")
    if "forbidden" in codes:  # RFC 6750 §3.1
        assert challenge == 'Bearer error="insufficient_scope"', answer
    else:
        assert bool(challenge) == (status == 401), answer
    assert any(code.encode() in answer.body for code in codes), answer
    return True
