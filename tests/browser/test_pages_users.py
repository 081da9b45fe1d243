"""The pages of an application that keeps its own users, in a real browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import People
from tests.support.service import environment, eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

OTHER = "bernoulli numbers, eighth"
PROGRAM = """
from fastapi import FastAPI
from starlette.responses import RedirectResponse
from coatcheck import Login, SubjectFacts
from coatcheck.fastapi import Auth, mount_auth

HASHES = {"7": "pbkdf2_sha256$1000$eqGLPYOJ0CB5$5MW6OwggV/E38fkuFDos8Y0274E9cr9+YBm2QSVU3KU="}

class Users:
    async def facts(self, subject):
        return SubjectFacts() if subject in HASHES else None

    async def login_of(self, name):
        return await self.login_of_subject("7" if name == "ann" else "")

    async def login_of_subject(self, subject):
        return Login(subject=subject, password_hash=HASHES[subject]) if subject in HASHES else None

    async def replace_hash(self, subject, old, new):
        if HASHES[subject] != old:
            return False
        HASHES[subject] = new
        return True

app = FastAPI()
app.add_api_route("/wanted", lambda: RedirectResponse("/auth/login?next=/wanted"))
mount_auth(app, Auth("memory://", subjects=Users()))
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """The application under uvicorn, with the password of the beginning; `people` go there."""
    folder = tmp_path
    (folder / "main.py").write_text(PROGRAM)
    log = folder / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "uvicorn", "main:app", "--port", "0"]
        server = subprocess.Popen(command, cwd=folder, env=environment(), stderr=output)
        try:
            found = eventually(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()), what="it runs")
            yield found[0]
        finally:
            server.terminate()
            server.wait()


async def test_whole_way(people: People) -> None:
    """By a user name: a wrong and a right password, the devices, a new password, out everywhere, and in again."""
    ann = await people("ann")
    await ann.go("/auth/")
    await ann.fill_in_login("a wrong one")
    await ann.sees("E-mail address, user name or password is wrong.")
    await expect(ann.page.get_by_label("E-mail address or user name")).to_have_value("ann")
    await expect(ann.page.get_by_role("link", name="Sign up")).to_have_count(0)
    await ann.fill_in_login("nine brown owls")
    await ann.at("/auth/account")
    await ann.page.get_by_label("Current password").fill("nine brown owls")
    await ann.page.get_by_label("New password").fill(OTHER)
    await ann.press("Change password")
    await ann.sees("All other devices have been logged out.")
    await ann.page.get_by_role("link", name="Devices", exact=True).click()
    await ann.sees("You are logged in here and nowhere else.")
    await ann.press("Log out everywhere")
    await ann.sees("You have been logged out everywhere.")
    await ann.fill_in_login(OTHER)
    await ann.at("/auth/account")
    await ann.press("Log out")
    await ann.at("/auth/login")
    assert not await ann.is_logged_in()


async def test_a_page_that_lets_nobody_in(people: People) -> None:
    """Sent to log in by a page that wants more than a login, a person is told who they are and goes nowhere by
    themselves; what they can do is to go on, to prove again who they are, and to be somebody else."""
    ann = await people("ann")
    await ann.go("/wanted")
    await ann.fill_in_login("nine brown owls")
    await ann.sees("You are logged in as 7.")
    await ann.page.get_by_role("link", name="Go on").click()
    await ann.at("/auth/login")
    await ann.sees("Or log in as somebody else")
    await ann.page.get_by_role("link", name="Prove again who you are").click()
    await ann.at("/auth/reauthenticate")
    await expect(ann.page.get_by_label("Password", exact=True)).to_be_focused()
    await ann.page.get_by_label("Password", exact=True).fill("a wrong one")
    await ann.press("Go on")
    await ann.sees("This is not your password.")
    before = await ann.context.cookies()
    await ann.page.get_by_label("Password", exact=True).fill("nine brown owls")
    await ann.press("Go on")
    await ann.at("/auth/login")
    assert await ann.context.cookies() != before
    for width in (320, 1280):
        await ann.page.set_viewport_size({"width": width, "height": 740})
        for path in ("/auth/login?next=/wanted", "/auth/reauthenticate?next=/wanted"):
            await ann.go(path)
            wide = await ann.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wide == 0, path
