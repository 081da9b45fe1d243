"""A real nginx before real servers: as it comes, and as docs/proxies.md says."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.docs.pages import ROOT, blocks_of
from tests.support.patience import PATIENCE
from tests.support.servers.nginx import AS_IT_COMES, Nginx, nginx

from .programs import SERVERS, served

EMAIL, PASSWORD = "ann@example.com", "nine brown owls"
OWNER, THIEF = "93.184.216.34", "8.8.4.4"


def documented() -> str:
    """The server block of the documentation."""
    found = [block.text for block in blocks_of(ROOT / "docs" / "proxies.md") if block.language == "nginx"]
    [block] = [text for text in found if "/shop/" not in text]
    return block


class Visitor:
    """Somebody with a browser on the site, at an address."""

    def __init__(self, site: Nginx, address: str) -> None:
        own = {
            "host": site.origin.removeprefix("https://"), "origin": site.origin, "sec-fetch-site": "same-origin",
            "sec-fetch-mode": "cors", "x-tests-client": address,
            "connection": "close",
        }  # fmt: skip
        self.web: httpx.Client = httpx.Client(
            base_url=f"{site.url}/auth", headers=own, verify=site.trust(), timeout=PATIENCE
        )

    def register(self) -> None:
        made = self.web.post("/register", json={"email": EMAIL, "password": PASSWORD})
        assert made.status_code == 201, made.text

    def log_in(self, password: str = PASSWORD, mode: str = "session", **headers: str) -> httpx.Response:
        body = {"email": EMAIL, "password": password, "mode": mode}
        return self.web.post("/login", json=body, headers=headers)


@pytest.mark.parametrize("name", SERVERS)
def test_as_documented(name: str, tmp_path: Path) -> None:
    """Cookies are those of a public site, and whoever guesses holds up nobody but themselves, whatever they claim."""
    with served(tmp_path, *SERVERS[name].told) as server, nginx(documented(), server.where) as site:
        owner, thief = Visitor(site, OWNER), Visitor(site, THIEF)
        owner.register()
        for number in range(10):
            wrong = thief.log_in("eight brown owls", **{"x-forwarded-for": f"203.0.113.{number}"})
            assert wrong.status_code == 401, wrong.text
        assert thief.log_in("eight brown owls", **{"x-forwarded-for": "203.0.113.77"}).status_code == 429
        made = owner.log_in()
        assert made.status_code == 200, made.text
        cookie = made.headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "; Secure" in cookie
        sessions = owner.web.get("/sessions").json()["sessions"]
        assert [session["device"]["ip"] for session in sessions] == [OWNER]
        assert owner.web.post("/logout").status_code == 204
        assert "X-Forwarded-For" not in server.output()


@pytest.mark.parametrize("name", SERVERS)
def test_as_it_comes(name: str, tmp_path: Path) -> None:
    """No cookie of development on a public site; the log names the setting; nobody is locked out by ten guesses."""
    with served(tmp_path, *SERVERS[name].untold) as server, nginx(AS_IT_COMES, server.where) as site:
        owner, thief = Visitor(site, OWNER), Visitor(site, THIEF)
        owner.register()
        for _ in range(12):
            assert thief.log_in("eight brown owls", mode="jwt").status_code == 401
        assert owner.log_in(mode="jwt").status_code == 200
        refused = owner.log_in()
        assert (refused.status_code, refused.json()["code"]) == (400, "cookies_need_tls")
        assert "set-cookie" not in refused.headers
        assert "--trusted-proxies" in server.output()


@pytest.mark.parametrize("name", ["flask", "flask-unix", "fastapi-unix"])
def test_a_proxy_that_nobody_has_named(name: str, tmp_path: Path) -> None:
    """What it says is not believed, limits nobody together with everybody else, and is in the log with the setting."""
    with served(tmp_path, *SERVERS[name].untold) as server, nginx(documented(), server.where) as site:
        owner, thief = Visitor(site, OWNER), Visitor(site, THIEF)
        owner.register()
        for _ in range(12):
            assert thief.log_in("eight brown owls", mode="jwt").status_code == 401
        assert owner.log_in(mode="jwt").status_code == 200
        assert server.output().count("--trusted-proxies") == 1
