"""What the pages show of the application: its name, logo and colour, and the way back to it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from coatcheck import Auth, Site
from coatcheck.service.app import alone, auth_app
from coatcheck.testing.clock import TravelClock
from coatcheck.web.render import CSP, SCRIPT
from tests.service.visitor import EMAIL, PASSWORD, Page, Visitor, make_auth

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><style>rect{fill:red}</style><rect/></svg>'
PLACES = ("/auth/login", "/auth/signup", "/auth/account", "/auth/devices", "/auth/reauthenticate", "/auth/nowhere")


@pytest.fixture
async def auth() -> AsyncIterator[Auth]:
    async with make_auth(TravelClock()) as auth:
        await auth.accounts.register(EMAIL, PASSWORD)
        yield auth


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "logo.svg").write_text(SVG)
    return Site(name="Ann & <b>Sons</b>", logo=tmp_path / "logo.svg", color="#7c3aed", home="/shop")


def within(auth: Auth, prefix: str = "/auth", **settings: Any) -> Visitor:
    """At an application that the service is mounted into."""
    host = FastAPI()
    host.mount(prefix, auth_app(auth, **settings))
    return Visitor(auth, app=host)


async def every_page(visitor: Visitor) -> list[Page]:
    pages = [await visitor.get(place) for place in PLACES]
    await visitor.log_in()
    return [*pages, *[await visitor.get(place) for place in PLACES]]


def addresses(page: Page, tag: str) -> list[str]:
    return [attrs.get("href") or attrs.get("src") or "" for kind, attrs in page.tags if kind == tag]


async def test_name_logo_and_colour(auth: Auth, site: Site) -> None:
    """They are on every page, as text and as files of the service, and ours are on none."""
    visitor = within(auth, site=site)
    for page in await every_page(visitor):
        assert page.title.endswith(" · Ann & <b>Sons</b>")
        assert "Ann & <b>Sons</b>" in page.text
        assert "oatcheck" not in page.title + page.text
        logo, *_ = addresses(page, "img")
        _, colours, icon = addresses(page, "link")
        assert logo == icon
        assert "/shop" in addresses(page, "a")
    answer = await visitor.http.get(logo)
    assert (answer.text, answer.headers["content-type"]) == (SVG, "image/svg+xml")
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert "immutable" in answer.headers["cache-control"]
    answer = await visitor.http.get(colours)
    assert "--accent:#7c3aed" in answer.text
    assert answer.headers["content-type"] == "text/css; charset=utf-8"


async def test_a_name_alone(auth: Auth) -> None:
    """With a name and no logo there is no picture, and the application's own icon is the browser's business."""
    for page in await every_page(within(auth, site={"name": "The Shop"})):
        assert addresses(page, "img") == []
        assert len(addresses(page, "link")) == 1
        assert "The Shop" in page.text


async def test_nothing_said(auth: Auth) -> None:
    """Within an application that says nothing of itself the pages have no name, and lead back to its root."""
    for page in await every_page(within(auth)):
        assert "Coatcheck" not in page.title + page.text
        assert " · " not in page.title
        assert "/" in addresses(page, "a")
        assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img"), "a link without text has a name"


async def test_alone(auth: Auth) -> None:
    """Alone, and with nothing said, it is called Coatcheck, and there is nothing to go back to."""
    for page in await every_page(Visitor(auth)):
        assert page.title.endswith(" · Coatcheck")
        assert all(link.startswith(("/auth/", "#")) for link in addresses(page, "a"))


async def test_alone_with_a_home(auth: Auth) -> None:
    """Alone, it leads to the application that it is told of, which may be elsewhere."""
    visitor = Visitor(auth, app=alone(auth, site={"name": "The Shop", "home": "https://shop.example/"}))
    assert "https://shop.example/" in addresses(await visitor.get("/auth/login"), "a")
    answer = await visitor.post("/auth/login", {"email": EMAIL, "password": PASSWORD})
    assert answer.headers["location"] == "https://shop.example/"
    assert "Go on to The Shop" in (await visitor.get("/auth/account")).text
    assert (await visitor.post("/auth/logout", {})).headers["location"] == "https://shop.example/"


async def test_where_a_login_leads(auth: Auth) -> None:
    """To ``next``, else to the application where it says where it is, else to the account, from where it goes on."""
    fields = {"email": EMAIL, "password": PASSWORD}
    for site, home in (({}, "/auth/account"), ({"home": "/shop"}, "/shop")):
        visitor = within(auth, site=site)
        assert (await visitor.post("/auth/login", fields)).headers["location"] == home
        assert (await visitor.post("/auth/login", fields | {"next": "/a?b"})).headers["location"] == "/a?b"
        assert (await visitor.post("/auth/login", fields | {"next": "//evil.example"})).headers["location"] == home
    made = await within(auth).post("/auth/signup", {"email": "new@example.com", "password": PASSWORD})
    assert made.headers["location"] == "/auth/account?done=welcome"


async def test_the_way_back(auth: Auth) -> None:
    """Whoever is sent to their account with ``next`` finds the way back there, also by way of the login page and after
    changing their password; one that leads elsewhere is none."""
    visitor = within(auth)
    page = await visitor.get("/auth/account", params={"next": "/basket?a=1"})
    assert visitor.path.startswith("/auth/login?next=")
    page = await visitor.submit(page.form("/auth/login"), email=EMAIL, password=PASSWORD)
    assert visitor.path == "/auth/account?next=%2Fbasket%3Fa%3D1"
    assert "/basket?a=1" in addresses(page, "a")
    form = page.form("/auth/account/password")
    page = await visitor.submit(form, current_password=PASSWORD, new_password="another one, rather long")
    assert "Your password has been changed" in page.text
    assert "/basket?a=1" in addresses(page, "a")
    page = await visitor.get("/auth/account", params={"next": "//evil.example"})
    assert not any("evil" in link for link in addresses(page, "a"))


async def test_under_a_root_path(auth: Auth) -> None:
    """Below a path that the server knows of, the way back is below it too."""
    host = FastAPI()
    host.mount("/auth", auth_app(auth, site={"home": "/shop"}))
    transport = httpx.ASGITransport(host, root_path="/möbel")
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        page = Page((await client.get("/möbel/auth/login")).text)
    assert "/m%C3%B6bel/shop" in addresses(page, "a")
    assert page.form("/m%C3%B6bel/auth/login")


async def test_what_is_no_business_of_people(auth: Auth) -> None:
    """Who has no roles is told of none, and nobody is told the name of a mode."""
    visitor = Visitor(auth)
    await visitor.log_in()
    assert "Roles" not in (await visitor.get("/auth/account")).text
    devices = await visitor.get("/auth/devices")
    assert not re.search(r"\b(session|jwt|jwt-cookie)\b", devices.text)
    account = await auth.accounts.find_by_email(EMAIL)
    assert account is not None
    await auth.accounts.set_roles(account.id, ["admin"])
    assert "Roles admin" in (await visitor.get("/auth/account")).text


async def test_the_script(auth: Auth) -> None:
    """The one script of the pages is the one that their policy allows by its hash."""
    page = (await Visitor(auth).http.get("/auth/login")).text
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script == SCRIPT
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in CSP


async def test_a_field_for_a_password(auth: Auth) -> None:
    """It can be shown, by a button that is not there before the script is."""
    visitor = Visitor(auth)
    for place, number in (("/auth/login", 1), ("/auth/signup", 1), ("/auth/account", 2)):
        if number == 2:
            await visitor.log_in()
        page = await visitor.get(place)
        buttons = [attrs for tag, attrs in page.tags if tag == "button" and attrs.get("class") == "show"]
        fields = [attrs["id"] for tag, attrs in page.tags if tag == "input" and attrs.get("type") == "password"]
        assert [attrs["aria-controls"] for attrs in buttons] == fields
        assert len(fields) == number
        assert all(attrs["type"] == "button" and "hidden" in attrs and attrs["aria-label"] for attrs in buttons)
