"""A person on a public site: Chromium, a real nginx that ends TLS, and the service behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.proxies.programs import SERVERS, served
from tests.proxies.test_nginx import documented
from tests.support.servers.nginx import AS_IT_COMES, nginx

from .conftest import People

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("name", ["serve", "django", "flask-unix"])
async def test_as_documented(browser: Browser, name: str, tmp_path: Path) -> None:
    """A person signs up, is logged in by a cookie of a public site, and logs out."""
    with served(tmp_path, *SERVERS[name].told) as server, nginx(documented(), server.where) as site:
        people = People(browser, site.origin)
        ann = await people(ignore_https_errors=True)
        await ann.sign_up()
        cookies = await ann.context.cookies()
        assert all(cookie["name"].startswith("__Host-") and cookie["secure"] for cookie in cookies)
        await ann.press("Log out")
        await ann.at("/auth/login")
        await ann.go("/auth/account")
        await ann.at("/auth/login")
        await people.leave()


@pytest.mark.parametrize("name", ["serve", "django"])
async def test_as_it_comes(browser: Browser, name: str, tmp_path: Path) -> None:
    """A page tells the person that it is no fault of theirs, and the browser has no cookie of development."""
    with served(tmp_path, *SERVERS[name].untold) as server, nginx(AS_IT_COMES, server.where) as site:
        people = People(browser, site.origin)
        ann = await people(ignore_https_errors=True)
        await ann.go("/auth/signup")
        await ann.page.get_by_label("E-mail address").fill(ann.email)
        await ann.page.get_by_label("Password", exact=True).fill("correct horse battery staple")
        await ann.press("Create account")
        await ann.sees("the server does not believe the proxy before it")
        assert await ann.context.cookies() == []
        assert "--trusted-proxies" in server.output()
        await people.leave()
