"""What was accepted is refused at the next request, once it was ended in whatever way."""

from __future__ import annotations

from functools import partial

import pytest

from coatcheck import Auth, Mode
from tests.adapters.suite.test_who import assert_no_good
from tests.adapters.suite.visitor import Person, Site, is_refused, set_cookies

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKENS = pytest.mark.parametrize("mode", [Mode.JWT, Mode.JWT_COOKIE], ids=str)


async def revoke(auth: Auth, session: str) -> bool:
    return await auth.revoke(session)


async def test_revoke(site: Site, ann: Person, mode: Mode) -> None:
    """A revoked session is over at once, remembered or never seen; the subject's others go on."""
    ended, other = await ann.at(mode), await ann.at(mode)
    unseen = await ann.at(mode)
    assert await ended.who() == await other.who() == ann.subject
    for visitor in (ended, unseen):
        assert await site.run(partial(revoke, session=visitor.session))
        await assert_no_good(visitor)
    assert await other.who() == ann.subject


async def test_revoke_subject(site: Site, ann: Person, mode: Mode) -> None:
    """Logging out everywhere ends every session of every mode, but the one excepted, and nobody else's."""
    ended = [await ann.at(each) for each in Mode]
    kept, other = await ann.at(mode), await (await site.person()).at(mode)
    for visitor in (*ended, kept):
        assert await visitor.who() == ann.subject
    await site.run(lambda auth: auth.revoke_subject(ann.subject, excepted=kept.session))
    for visitor in ended:
        await assert_no_good(visitor)
    assert await kept.who() == ann.subject
    await site.run(lambda auth: auth.revoke_subject(ann.subject))
    await assert_no_good(kept)
    assert await other.who() is not None


@TOKENS
async def test_revoke_token(site: Site, ann: Person, mode: Mode) -> None:
    """One access token is over at once; its session lives on and gives another one."""
    visitor = await ann.at(mode)
    assert await visitor.who() == ann.subject
    assert await revoke_token(site, visitor.token) == visitor.session
    await assert_no_good(visitor)
    assert (await visitor.renew()).status == 200
    assert await visitor.who() == ann.subject


async def revoke_token(site: Site, token: str) -> str:
    """End this one access token. Returns its session."""

    async def work(auth: Auth) -> str:
        claims = auth.access_tokens.read(token, now=auth.clock.now())
        await auth.revocation.revoke_token(claims.sid, claims.jti)
        return claims.sid

    return await site.run(work)


async def test_from_another_device(site: Site, ann: Person, mode: Mode) -> None:
    """A session that its owner ends from another device is over at once; nobody else can end it."""
    lost, phone = await ann.at(mode), await ann.at(Mode.JWT)
    stranger = await (await site.person()).at(mode)
    assert await lost.who() == ann.subject
    own = [("Sec-Fetch-Site", "same-origin")]
    assert (await stranger.ask("DELETE", f"/auth/sessions/{lost.session}", own)).status == 404
    assert await lost.who() == ann.subject
    assert (await phone.ask("DELETE", f"/auth/sessions/{lost.session}")).status == 204
    await assert_no_good(lost)
    assert await phone.who() == ann.subject


async def test_logout(site: Site, ann: Person, mode: Mode) -> None:
    """Logging out at /auth/logout ends the session, and makes a browser forget every cookie, each at its own path."""
    visitor = site.visitor(mode)
    await ann.log_in(visitor)
    held = await ann.at(mode)
    held.hold_as(visitor)
    assert await visitor.who() == ann.subject
    answer = await visitor.post("/auth/logout")
    assert answer.status == 204
    forgotten = {name: rest for name, value, rest in set_cookies(answer) if rest["max-age"] == "0" and not value}
    names = held.names
    assert {name: rest["path"] for name, rest in forgotten.items()} == {
        names.session: "/",
        names.access: "/",
        names.refresh: "/auth/refresh",
    }
    assert not visitor.cookies
    await assert_no_good(held)
    if mode is not Mode.SESSION:
        assert is_refused(await held.renew(), 401, "invalid_credential")


async def test_disabled(site: Site, ann: Person, mode: Mode) -> None:
    """A disabled account is out at once, cannot refresh, and cannot log in again."""
    visitor = await ann.at(mode)
    assert await visitor.who() == ann.subject
    await site.run(lambda auth: auth.accounts.disable(ann.subject))
    await assert_no_good(visitor)
    if mode is not Mode.SESSION:
        assert is_refused(await visitor.renew(), 401, "invalid_credential")
    assert is_refused(await ann.log_in(site.visitor(mode)), 401, "invalid_login")


@TOKENS
async def test_refresh(site: Site, ann: Person, mode: Mode) -> None:
    """An expired access token is replaced by a refresh, again and again; the refresh cookie goes to its route only."""
    visitor = site.visitor(mode)
    answer = await ann.log_in(visitor)
    if mode is Mode.JWT_COOKIE:
        paths = {name: rest["path"] for name, _, rest in set_cookies(answer) if rest.get("max-age") != "0"}
        assert paths == {visitor.names.access: "/", visitor.names.refresh: "/auth/refresh"}
        assert visitor.names.refresh not in dict(visitor.carried("/mine"))["Cookie"]
    seen = {visitor.token}
    for _ in range(2):
        site.pass_time(1000)
        assert (await visitor.get("/mine")).status == 401
        assert (await visitor.renew()).status == 200
        assert await visitor.who() == ann.subject
        seen.add(visitor.token)
    assert len(seen) == 3


@TOKENS
async def test_reused_refresh_token(site: Site, ann: Person, mode: Mode) -> None:
    """Within the reuse window an old refresh token gives the same successor; later it ends the session."""
    visitor, thief = await ann.at(mode), await ann.at(mode)
    thief.hold_as(visitor)
    assert (await visitor.renew()).status == 200
    assert (await thief.renew()).status == 200
    assert thief.refresh_token == visitor.refresh_token
    assert (await visitor.renew()).status == 200
    site.pass_time(31)
    assert await visitor.who() == ann.subject
    answer = await thief.renew()
    assert is_refused(answer, 401, "invalid_credential")
    await assert_no_good(visitor)


async def test_nothing_to_refresh(site: Site, ann: Person) -> None:
    """Mode session has nothing to refresh, and a session token refreshes nothing."""
    visitor = await ann.at(Mode.SESSION)
    assert is_refused(await visitor.renew(), 401, "not_logged_in")
    visitor.refresh = visitor.token
    assert is_refused(await visitor.renew(), 401, "invalid_credential")
    assert await visitor.who() == ann.subject


@pytest.mark.parametrize("had", list(Mode), ids="had-{}".format)
async def test_a_login_over_a_login(site: Site, ann: Person, mode: Mode, had: Mode) -> None:
    """What the replaced cookies named ends, whosever it was and of whichever mode; what rides on no cookie is replaced
    by nothing, and replaces nothing."""
    for who in (ann, await site.person()):
        before = await ann.at(had)
        visitor = site.visitor(mode)
        visitor.cookies = dict(before.cookies)
        assert (await who.log_in(visitor)).status == 200
        gone = had is not Mode.JWT and mode is not Mode.JWT
        live = await site.run(lambda auth, kept=before: auth.sessions.find(kept.session, now=auth.clock.now()))  # type: ignore[misc]
        assert (live is None) == gone
        assert (await visitor.get("/mine")).json()["subject"] == who.subject
