"""The README's five lines are an application with sign-up, login, device pages and logout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import ROOT, PageRun, blocks_of
from tests.support.service import PASSWORD, PATIENCE

EMAIL = "ann@example.com"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of the README's example. It says where its requests come from, as browsers do."""
    (example,) = [block for block in blocks_of(ROOT / "README.md") if block.name == "main.py"]
    (tmp_path / "main.py").write_text(example.text)
    with PageRun(tmp_path) as run:
        run.serve("uvicorn main:app")
        headers = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        with httpx.Client(base_url=run.url, headers=headers, timeout=PATIENCE) as client:
            yield client


def csrf_token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def test_five_lines(browser: httpx.Client) -> None:
    """Nobody is sent to log in; sign up, be greeted, see the device, log out, be nobody, log in again, log out
    everywhere."""
    nobody = browser.get("/")
    assert (nobody.status_code, nobody.headers["location"]) == (303, "/auth/login?next=%2F")
    assert browser.get("/", headers={"Accept": "*/*"}).status_code == 401

    made = browser.post("/auth/signup", data={"email": EMAIL, "password": PASSWORD, "next": "/"})
    assert (made.status_code, made.headers["location"]) == (303, "/"), made.text
    assert browser.get("/").json() == f"Hello {EMAIL}"

    devices = browser.get("/auth/devices")
    assert devices.status_code == 200
    assert "This device" in devices.text

    [cookie] = [f"{name}={value}" for name, value in browser.cookies.items() if value.startswith("ccs_")]
    assert browser.post("/auth/logout", data={"csrf_token": csrf_token(devices)}).status_code == 303
    assert browser.get("/").status_code == 303
    assert browser.get("/", headers={"Cookie": cookie, "Accept": "*/*"}).status_code == 401

    assert browser.post("/auth/login", data={"email": EMAIL, "password": "not this one"}).status_code == 401
    assert browser.post("/auth/login", data={"email": EMAIL, "password": PASSWORD}).status_code == 303
    assert browser.get("/").json() == f"Hello {EMAIL}"

    token = csrf_token(browser.get("/auth/devices"))
    assert browser.post("/auth/devices/everywhere/logout", data={"csrf_token": token}).status_code == 303
    assert browser.get("/").status_code == 303


def test_it_is_two_lines() -> None:
    """Coatcheck costs the example two lines: what is left without them is a FastAPI application."""
    (example,) = [block for block in blocks_of(ROOT / "README.md") if block.name == "main.py"]
    ours = [line for line in example.text.splitlines() if re.search(r"coatcheck|auth|user", line)]
    assert [line for line in ours if "profile" not in line and "def home" not in line] == [
        "from coatcheck.fastapi import CurrentUser, mount_auth",
        'auth = mount_auth(app, "sqlite:///app.db")',
    ]
