"""Two services in development on one machine, in one browser: cookies do not know ports."""

from __future__ import annotations

import pytest

from tests.browser.conftest import People, Person
from tests.support.service import running_service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


async def test_two_services(people: People, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Somebody logged in at both stays so, and a logout at one, or a new login, is none at the other."""
    here = await people()
    with running_service(tmp_path_factory.mktemp("other")) as service:
        there = Person(service.base_url, here.context, await here.context.new_page(), here.email)
        await here.sign_up()
        await there.sign_up()
        for _ in range(2):
            assert [await here.is_logged_in(), await there.is_logged_in()] == [True, True]
            for person in (here, there):
                await person.go("/auth/account")
                await person.at("/auth/account")
            await there.press("Log out")
            await there.sees("You have been logged out.")
            assert [await here.is_logged_in(), await there.is_logged_in()] == [True, False]
            await there.log_in()
        await here.go("/auth/account")
        await here.press("Log out")
        await here.sees("You have been logged out.")
        assert [await here.is_logged_in(), await there.is_logged_in()] == [False, True]
        names = {cookie.get("name", "") for cookie in await here.context.cookies()}
        assert all(name.startswith("coatcheck-") for name in names), names
