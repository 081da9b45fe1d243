"""A login in steps, in every framework and mode."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from coatcheck import Mode
from coatcheck.errors import StepRequired
from coatcheck.features import Feature
from tests.adapters.suite.conftest import started
from tests.adapters.suite.contract import Answer, Serving
from tests.adapters.suite.visitor import OWN, PASSWORD, Site, is_refused
from tests.support.second_password import SECOND, SecondPassword

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = ("Content-Type", "application/json")
step = SecondPassword()


class Second(Feature):
    """A feature whose step it is."""

    name = "second"

    def steps(self) -> Sequence[SecondPassword]:
        return (step,)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stepped(serving: Serving) -> AsyncIterator[Site]:
    """An application in which people may have a second password."""
    async with started(serving, features=[Second()]) as running:
        yield running


def cookies(answer: Answer) -> dict[str, str]:
    pairs = [value.partition(";")[0].partition("=") for name, value in answer.headers if name == "set-cookie"]
    return {name: value for name, _, value in pairs if value}


def carrying(found: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return (("Cookie", "; ".join(f"{name}={value}" for name, value in found.items())),) if found else ()


async def test_two_steps(stepped: Site, mode: Mode) -> None:
    """A password alone logs nobody in who has a second factor; both do, once, and everything else is as ever."""
    person = await stepped.person()
    step.of[person.subject] = SECOND
    body = json.dumps({"email": person.email, "password": PASSWORD, "mode": mode.value}).encode()
    first = await stepped.served.request("POST", "/auth/login", headers=(*OWN, JSON), body=body)
    assert first.status == 202
    given = cookies(first)
    said = first.json()
    assert (said["status"], said["methods"], said["expires_in"]) == ("step_required", ["second_password"], 300)
    assert ("attempt" in said, set(given)) == (
        (True, set()) if mode is Mode.JWT else (False, {"__Secure-coatcheck-attempt"})
    )
    assert is_refused(await stepped.served.request("GET", "/mine", headers=carrying(given)), 401, "not_logged_in")
    more = {"attempt": said["attempt"]} if mode is Mode.JWT else {}

    async def go_on(code: str) -> Answer:
        body = json.dumps({"method": "second_password", "code": code, **more}).encode()
        return await stepped.served.request(
            "POST", "/auth/login/step", headers=(*OWN, JSON, *carrying(given)), body=body
        )

    assert is_refused(await go_on("not this one"), 401, "invalid_step")
    made = await go_on(SECOND)
    assert made.status == 200, made.body
    token = made.json().get("access_token")
    headers = (("Authorization", f"Bearer {token}"),) if token else carrying(cookies(made))
    answer = await stepped.served.request("GET", "/mine", headers=headers)
    assert (answer.status, answer.json()["subject"]) == (200, person.subject)
    session = (await stepped.served.request("GET", "/auth/session", headers=headers)).json()
    assert session["amr"] == ["pwd", "kba", "mfa"]
    if mode is not Mode.SESSION:  # a double click gets the same session there
        assert is_refused(await go_on(SECOND), 401, "attempt_over")


async def test_without_a_second_factor(stepped: Site, mode: Mode) -> None:
    """Whoever has none logs in as ever."""
    person = await stepped.person()
    visitor = await person.at(mode)
    assert (await visitor.get("/mine")).status == 200


async def test_logins_of_the_application(stepped: Site) -> None:
    """What the application does by hand, with a password that it has checked itself, is refused as well."""
    person = await stepped.person()
    step.of[person.subject] = SECOND
    proved = await stepped.run(lambda auth: auth.authenticate(person.email, PASSWORD))
    with pytest.raises(StepRequired):
        await stepped.run(lambda auth: auth.login(proved.subject, epoch=proved.epoch))
