"""A cookie that was left behind by another application, secret or store at the same address never stands in the way."""

from __future__ import annotations

import pytest

from coatcheck import Auth, Mode
from coatcheck.credentials.keyring import Secrets
from coatcheck.credentials.opaque import OpaqueTokens, new_session_id
from tests.adapters.suite.visitor import OWN, Person, Site, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

HERE = "http://localhost:8000"
LEFT = ("of another secret", "of another store", "of the other mode", "all of them", "malformed")


async def _leave(site: Site, ann: Person, visitor: Visitor, left: str) -> None:
    """Put into the browser what was left behind there."""
    names = visitor.names
    foreign = OpaqueTokens(Secrets([b"another secret of the tests, 32 bytes"]))
    elsewhere = foreign.session_token(new_session_id("ann")), "/"
    refresh = foreign.refresh_token(new_session_id("ann"), 0), f"{site.setting.prefix}/auth/refresh"
    if left == "of another secret":
        visitor.cookies[names.session] = elsewhere
    elif left == "of another store":
        gone = await site.run(_token)
        visitor.cookies[names.session] = gone, "/"
    elif left == "of the other mode":
        other = Mode.JWT_COOKIE if visitor.mode is Mode.SESSION else Mode.SESSION
        held = await ann.at(other, HERE)
        visitor.cookies = dict(held.cookies)
        await site.run(lambda auth: auth.revoke(held.session))
    elif left == "all of them":
        visitor.cookies = {names.session: elsewhere, names.access: ("ey.J.x", "/"), names.refresh: refresh}
    else:
        visitor.cookies = {names.session: ("x", "/"), names.access: ("y", "/")}


async def _token(auth: Auth) -> str:
    return auth.opaque.session_token(new_session_id("nobody"))


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("kept", [Mode.SESSION, Mode.JWT_COOKIE], ids=str)
async def test_logging_in_over_it(site: Site, ann: Person, kept: Mode, left: str) -> None:
    """With it one is nobody, one login is enough, and after a logout nothing of it is left."""
    visitor = site.visitor(kept, HERE)
    await _leave(site, ann, visitor, left)
    assert await visitor.who() is None
    assert (await visitor.get("/mine")).status == 401
    assert (await ann.log_in(visitor)).status == 200
    assert await visitor.who() == ann.subject
    assert (await visitor.ask("POST", "/mine", OWN)).status == 200
    if kept is Mode.JWT_COOKIE:
        assert (await visitor.renew()).status == 200
    assert (await visitor.post("/auth/logout")).status == 204
    assert visitor.cookies == {}
    assert await visitor.who() is None
