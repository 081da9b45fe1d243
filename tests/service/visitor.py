"""A visitor of the pages without a browser: it reads HTML, fills in forms and sends what a browser would send."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx

from coatcheck import Auth
from coatcheck.accounts import Argon2Profile, PasswordHasher
from coatcheck.clock import Clock
from coatcheck.service.app import alone
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock

EMAIL = "ada@lovelace.example"
PASSWORD = "note G, table of 1843"
OTHER = "bernoulli numbers, eighth"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
OWN = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "accept": "text/html"}


def make_auth(clock: TravelClock, store: Any = None, **settings: Any) -> Auth:
    """An `Auth` with cheap passwords, on a store of this clock."""
    return Auth(
        store or MemoryStore(wall=clock),
        secret="a secret of the tests, 32 bytes or more",
        password_hasher=PasswordHasher(Argon2Profile(memory=8, passes=1, lanes=1)),
        clock=Clock(monotonic=clock.monotonic, wall=clock.now),
        **settings,
    )


@dataclass
class Form:
    """One form of a page."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, dict[str, str | None]] = field(default_factory=dict)


class Page(HTMLParser):
    """What the tests want to know of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.forms: list[Form] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.title = ""
        self.text = ""
        self._path: list[str] = []
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in ("input", "meta", "link", "img"):
            self._path.append(tag)
        if tag == "form":
            self.forms.append(Form(given.get("action") or "", given.get("method") or "get"))
        elif tag == "input":
            name = given["name"] or ""
            self.forms[-1].inputs[name] = given
            if given.get("type") != "checkbox" or "checked" in given:
                self.forms[-1].fields[name] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        assert self._path.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "title" in self._path:
            self.title += data
        elif "body" in self._path:
            self.text += f" {data}"

    def form(self, action: str) -> Form:
        """The form with this action; it must be the only one."""
        (found,) = [form for form in self.forms if form.action == action]
        return found

    def with_class(self, name: str) -> int:
        """How many elements have this class."""
        return sum(name in (attrs.get("class") or "").split() for _, attrs in self.tags)


class Visitor:
    """One browser: cookies, a user agent, and the page it is on."""

    def __init__(
        self, auth: Auth, *, user_agent: str = FIREFOX, base: str = "http://localhost:8000", app: Any = None
    ) -> None:
        self.auth = auth
        transport = httpx.ASGITransport(app=app or alone(auth), client=("192.0.2.1", 4321))
        self.http = httpx.AsyncClient(transport=transport, base_url=base, headers=OWN | {"user-agent": user_agent})
        self.response: httpx.Response

    async def get(self, path: str, **options: Any) -> Page:
        """Go there, following redirects as a browser does."""
        self.response = await self.http.get(path, follow_redirects=True, **options)
        return Page(self.response.text)

    async def post(self, path: str, fields: dict[str, str], **options: Any) -> httpx.Response:
        """Send a form as it stands."""
        headers = {"content-type": "application/x-www-form-urlencoded"} | options.pop("headers", {})
        self.response = await self.http.post(path, content=urlencode(fields), headers=headers, **options)
        return self.response

    async def submit(self, form: Form, **fields: str) -> Page:
        """Fill in a form of a page, send it, and follow where it leads."""
        assert form.method == "post"
        response = await self.post(form.action, form.fields | fields)
        if response.is_redirect:
            assert response.status_code == 303
            return await self.get(response.headers["location"])
        return Page(response.text)

    async def log_in(self, email: str = EMAIL, password: str = PASSWORD, **fields: str) -> Page:
        """Log in by the page."""
        page = await self.get("/auth/login")
        return await self.submit(page.form("/auth/login"), email=email, password=password, **fields)

    @property
    def path(self) -> str:
        """Where the visitor is."""
        return self.response.url.raw_path.decode()

    @property
    def session_cookie(self) -> str | None:
        return self.http.cookies.get("coatcheck")


async def live_sessions(auth: Auth) -> int:
    account = await auth.accounts.find_by_email(EMAIL)
    assert account is not None
    return len((await auth.sessions.sessions_of(account.id, now=auth.clock.now())).sessions)
