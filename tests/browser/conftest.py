"""A real Chromium, the real service as a process, and a site of somebody else."""

from __future__ import annotations

import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.support.patience import SOON
from tests.support.service import PASSWORD, running_service

_ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--host-resolver-rules=MAP app.example.com 127.0.0.1",
]  # fmt: skip
_EXPECTED = (
    "Failed to load resource: the server responded with a status of 4",
    # The test was faster with the keyboard than the page with its first field; a person sees no difference.
    "Autofocus processing was blocked because a document already has a focused element.",
    # Where the application keeps the users, nobody knows by which of their names they have logged in.
    "[DOM] Password forms should have (optionally hidden) username fields",
)


@dataclass
class Person:
    """One browser profile, and the page it is on."""

    base: str
    context: BrowserContext
    page: Page
    email: str
    said: list[str] = field(default_factory=list)
    """What the browser complained about: violations of the CSP, errors, dialogs."""

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.base}{path}")

    async def at(self, path: str) -> None:
        """Wait until this is where they are, whatever the query."""
        await self.page.wait_for_url(lambda url: urlsplit(url).path == path)

    async def press(self, name: str, number: int = 0) -> None:
        await self.page.get_by_role("button", name=name, exact=True).nth(number).click()

    async def sees(self, text: str) -> None:
        await expect(self.page.get_by_text(text).first).to_be_visible()

    async def sign_up(self, password: str = PASSWORD) -> None:
        await self.go("/auth/signup")
        await self.page.get_by_label("E-mail address").fill(self.email)
        await self.page.get_by_label("Password", exact=True).fill(password)
        await self.press("Create account")
        await self.at("/auth/account")

    async def log_in(self, password: str = PASSWORD) -> None:
        await self.go("/auth/login")
        await self.fill_in_login(password)
        await self.at("/auth/account")

    async def fill_in_login(self, password: str) -> None:
        await self.page.get_by_label("E-mail address").fill(self.email)
        await self.page.get_by_label("Password", exact=True).fill(password)
        await self.page.locator("main").get_by_role("button", name="Log in").click()

    async def is_logged_in(self) -> bool:
        """Whether the cookie still counts, asked beside the page."""
        response = await self.context.request.get(f"{self.base}/auth/session")
        assert response.status in (200, 401)
        return response.status == 200


class People:
    """Opens browser profiles, and at the end holds what they complained about against the tests."""

    def __init__(self, browser: Browser, base: str) -> None:
        self._browser = browser
        self._base = base
        self._all: list[Person] = []

    async def __call__(self, email: str = "", **options: Any) -> Person:
        context = await self._browser.new_context(**options)
        context.set_default_timeout(SOON * 1000)
        page = await context.new_page()
        person = Person(self._base, context, page, email or f"{uuid4().hex}@example.com")

        def heard(message: ConsoleMessage) -> None:
            if not message.text.startswith(_EXPECTED):
                person.said.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error: person.said.append(str(error)))
        page.on("dialog", lambda dialog: person.said.append(dialog.message))
        self._all.append(person)
        return person

    async def leave(self) -> None:
        for person in self._all:
            await person.context.close()
        assert [person.said for person in self._all if person.said] == []


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the service is."""
    with running_service(tmp_path_factory.mktemp("service")) as service:
        yield service.base_url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium. Without it, these tests fail; ``-m "not browser"`` leaves them out."""
    async with _chromium() as browser:
        yield browser


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail('chromium is not installed; install it, or leave these tests out with -m "not browser"')
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=Path(path),
            args=_ARGUMENTS,
            # People's browsers have it, and it could show a page of before a logout.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def people(browser: Browser, service: str) -> AsyncIterator[People]:
    people = People(browser, service)
    yield people
    await people.leave()


class _Elsewhere(BaseHTTPRequestHandler):
    """A page of somebody else: ``/form?action=...`` holds a form with all other parameters as its fields,
    ``/frame?src=...`` a frame."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/form":
            body = _form(given)
        else:
            body = f'<iframe src="{escape(given.get("src", ""))}" width="600" height="600"></iframe>'
        content = f"<!doctype html><title>Elsewhere</title>{body}".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        with suppress(ConnectionError):  # the browser has gone on already
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def _form(given: dict[str, str]) -> str:
    action, kind = given.pop("action"), given.pop("enctype", "application/x-www-form-urlencoded")
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in given.items()
    )
    return f'<form method="post" enctype="{kind}" action="{escape(action)}">{fields}<button>Win a prize</button></form>'


@dataclass
class Elsewhere:
    """The other site, under two names: one that is the same *site* as the service but another origin, and one that is
    another site altogether."""

    port: int

    def url(self, host: str, path: str, **query: str) -> str:
        return f"http://{host}:{self.port}{path}?{urlencode(query)}"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Elsewhere(server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()
