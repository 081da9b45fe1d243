"""Only the scheme Bearer is ours, and a route may be left out whose bearer tokens are somebody else's."""

from __future__ import annotations

import pytest

from coatcheck import Mode
from tests.adapters.suite.visitor import OWN, Person, Site, is_refused

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHERS = ("Basic YW5uOm93bHM=", "Digest username=ann", "Token abc", "Negotiate YII=", "Bearerx y", "ccs_x", "")


@pytest.mark.parametrize("scheme", OTHERS)
async def test_beside_an_ended_cookie(site: Site, ann: Person, mode: Mode, scheme: str) -> None:
    """Another scheme, such as a staging password, changes nothing: whoever's login has ended is nobody, as without."""
    visitor = site.visitor(mode) if mode is Mode.JWT else await ann.at(mode)
    if mode is not Mode.JWT:
        await site.run(lambda auth: auth.revoke(visitor.session))
    for method in ("GET", "POST"):
        answer = await visitor.ask(method, "/open", [("Authorization", scheme), *OWN])
        assert (answer.status, answer.json()) == (200, {"subject": None}), answer
        answer = await visitor.ask(method, "/mine", [("Authorization", scheme), *OWN])
        assert is_refused(answer, 401, "not_logged_in", "invalid_credential")


@pytest.mark.parametrize("scheme", OTHERS)
async def test_beside_a_live_cookie(site: Site, ann: Person, scheme: str) -> None:
    """Nor does it hide a cookie that is good, whether it is in memory or not."""
    for mode in (Mode.SESSION, Mode.JWT_COOKIE):
        visitor = await ann.at(mode)
        for method in ("POST", "GET", "GET"):
            answer = await visitor.ask(method, "/mine", [("Authorization", scheme), *OWN])
            assert answer.json()["subject"] == ann.subject


async def test_at_the_service(site: Site, ann: Person, mode: Mode) -> None:
    """Nor does it stand in the way of logging in, refreshing, revoking a token and logging out."""
    basic = [("Authorization", "Basic YW5uOm93bHM="), *OWN]
    body = {"email": ann.email, "password": "nine brown owls", "mode": mode.value}
    assert (await site.visitor(mode).ask("POST", "/auth/login", basic, body)).status == 200
    visitor = await ann.at(mode)
    form = [*basic, ("Content-Type", "application/x-www-form-urlencoded")]
    token = (visitor.refresh_token or visitor.token).encode()
    answer = await site.served.request("POST", "/auth/revoke", headers=form, body=b"token=" + token)
    assert answer.status == 200
    assert not await site.run(lambda auth: auth.sessions.find(visitor.session, now=auth.clock.now()))
    assert (await site.visitor(mode).ask("POST", "/auth/logout", basic)).status == 204


async def test_somebody_elses_tokens(site: Site, ann: Person, mode: Mode) -> None:
    """A route that is left out is reached with whatever bearer token; every other one refuses it as ever."""
    visitor = site.visitor(mode) if mode is Mode.JWT else await ann.at(mode)
    for token in ("Bearer somebody-elses", "Bearer", "bearer a b"):
        for method in ("GET", "POST"):
            answer = await visitor.ask(method, "/theirs", [("Authorization", token)])
            assert (answer.status, answer.json()) == (200, {"authorization": token}), answer
            assert is_refused(await visitor.ask(method, "/open", [("Authorization", token)]), 401, "invalid_credential")


async def test_left_out_is_not_let_in(site: Site) -> None:
    """Left out is not let in: what asks for somebody there refuses nobody, and somebody else's token."""
    stranger = site.visitor(Mode.JWT)
    for headers in ([], [("Authorization", "Bearer somebody-elses")]):
        assert is_refused(
            await stranger.ask("GET", "/theirs/mine", headers), 401, "not_logged_in", "invalid_credential"
        )
