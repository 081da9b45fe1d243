"""Who is asking: logged in in each mode, nobody, and everything that is refused."""

from __future__ import annotations

import pytest

from coatcheck import Auth, Mode
from coatcheck.credentials.cookies import DEVELOPMENT
from tests.adapters.suite.contract import Answer, Setting
from tests.adapters.suite.visitor import OWN, Person, Site, Visitor, is_refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


def refused_on_protected(visitor: Visitor, answer: Answer) -> bool:
    """A bad bearer token is named; a cookie that is no good counts as none, or is named."""
    if visitor.mode is Mode.JWT:
        return answer.header("www-authenticate") == 'Bearer error="invalid_token"' and is_refused(
            answer, 401, "invalid_credential"
        )
    return is_refused(answer, 401, "invalid_credential", "not_logged_in")


async def assert_no_good(visitor: Visitor) -> None:
    """What the visitor presents lets nobody in; a public page breaks over a bearer token only."""
    for method in ("GET", "POST"):
        public = await visitor.ask(method, "/open", OWN)
        if visitor.mode is Mode.JWT:
            assert is_refused(public, 401, "invalid_credential")
        else:
            assert (public.status, public.json()) == (200, {"subject": None})
        assert refused_on_protected(visitor, await visitor.ask(method, "/mine", OWN))


async def test_login_by_route(site: Site, ann: Person, mode: Mode) -> None:
    """Whoever logs in at /auth/login is known at first sight and from memory, on public and on protected routes."""
    visitor = site.visitor(mode)
    answer = await ann.log_in(visitor)
    assert (answer.status, answer.header("cache-control")) == (200, "no-store")
    for _ in range(2):
        assert await visitor.who() == ann.subject
        mine = await visitor.get("/mine")
        assert mine.status == 200
        assert mine.json() == {"subject": ann.subject, "session": visitor.session, "mode": mode.value, "roles": []}


async def test_login_by_library(site: Site, mode: Mode) -> None:
    """Whoever the application logs in is known with roles and session, also to a request that changes something."""
    person = await site.person("writer", "admin")
    visitor = await person.at(mode)
    for method in ("POST", "GET"):
        answer = await visitor.ask(method, "/mine", OWN)
        expected = {"subject": person.subject, "session": visitor.session, "mode": mode.value}
        assert answer.json() == {**expected, "roles": ["admin", "writer"]}


async def test_nobody(site: Site, mode: Mode) -> None:
    """Without a credential, a public route serves and a protected one says 401 and how to authenticate."""
    visitor = site.visitor(mode)
    assert await visitor.who() is None
    assert (await visitor.ask("POST", "/open")).json() == {"subject": None}
    for method, path in (("GET", "/mine"), ("POST", "/mine"), ("GET", "/admin"), ("POST", "/danger")):
        answer = await visitor.ask(method, path)
        assert is_refused(answer, 401, "not_logged_in"), (path, answer)
        assert answer.header("www-authenticate") == "Bearer"


@pytest.mark.parametrize("scheme", ["Basic YW5uOm93bHM=", "Digest x", "ccs_x"])
async def test_other_schemes_are_not_ours(site: Site, ann: Person, mode: Mode, scheme: str) -> None:
    """An Authorization header of another scheme is nobody's credential, and hides no cookie."""
    if mode is Mode.JWT:
        answer = await site.visitor(mode).ask("GET", "/mine", [("Authorization", scheme)])
        assert is_refused(answer, 401, "not_logged_in")
    else:
        visitor = await ann.at(mode)
        answer = await visitor.ask("GET", "/mine", [("Authorization", scheme)])
        assert answer.json()["subject"] == ann.subject


async def test_garbage(site: Site, ann: Person, mode: Mode) -> None:
    """What is not one of ours in form, or was altered by one character anywhere, is refused, seen before or not."""
    visitor = await ann.at(mode)
    genuine = visitor.token
    assert await visitor.who() == ann.subject
    altered = f"{genuine[:-10]}{'A' if genuine[-10] != 'A' else 'B'}{genuine[-9:]}"
    for token in ("x", "a.b.c", genuine[:-1], f"{genuine}A", altered, genuine.swapcase()):
        visitor.token = token
        await assert_no_good(visitor)
    visitor.token = genuine
    assert await visitor.who() == ann.subject


async def test_forged(site: Site, ann: Person, mode: Mode) -> None:
    """A credential that another deployment made, with keys of its own, is refused."""
    visitor = await ann.at(mode)
    async with Auth(**Setting(clock=site.setting.clock).arguments()) as other:
        account = await other.accounts.register(ann.email, "nine brown owls")
        visitor.hold(await other.login(account.id, mode=mode))
    await assert_no_good(visitor)


async def test_expired(site: Site, ann: Person, mode: Mode) -> None:
    """What was accepted is refused once its time has passed, by the clock alone."""
    visitor = await ann.at(mode)
    policy = site.setting.policy
    assert policy is not None
    assert await visitor.who() == ann.subject
    lifetime = policy.session.idle if mode is Mode.SESSION else policy.access_lifetime
    site.pass_time(lifetime - 1)
    assert (await visitor.get("/mine")).status == 200
    site.pass_time(lifetime + 1)
    await assert_no_good(visitor)


async def test_token_of_another_mode(site: Site, ann: Person, mode: Mode) -> None:
    """A token counts in the carrier of its own mode only, and a refresh token nowhere."""
    visitor = await ann.at(mode)
    assert await visitor.who() == ann.subject
    for other in Mode:
        holder = await ann.at(other)
        for token in [holder.refresh_token] * (other is not Mode.SESSION) + [holder.token] * (other is not mode):
            visitor.token = token
            await assert_no_good(visitor)


async def test_wrong_carrier(site: Site, ann: Person, mode: Mode) -> None:
    """A token in the query, in a form, in another header or under another cookie's name is nobody's."""
    visitor = await ann.at(mode)
    assert await visitor.who() == ann.subject
    ((_, pair),) = visitor.carried()
    token = visitor.token
    stranger = site.visitor(mode)
    assert (await stranger.get(f"/open?access_token={token}&token={token}")).json() == {"subject": None}
    form = await site.served.request(
        "POST",
        "/open",
        headers=[("Content-Type", "application/x-www-form-urlencoded")],
        body=f"access_token={token}".encode(),
        base=visitor.base,
    )
    assert form.json() == {"subject": None}
    headers = [
        [("X-Authorization", f"Bearer {token}")],
        [("Authorization", pair.removeprefix("Bearer "))],
        [("Cookie", f"{DEVELOPMENT.session}={token}; {DEVELOPMENT.access}={token}; token={token}")],
        [("Cookie", f"Authorization=Bearer {token}")],
    ]
    for sent in headers:
        for method in ("GET", "POST"):
            assert (await stranger.ask(method, "/open", sent)).json() == {"subject": None}
            assert is_refused(await stranger.ask(method, "/mine", sent), 401, "not_logged_in")


async def test_bad_bearer_is_not_replaced_by_a_cookie(site: Site, ann: Person, mode: Mode) -> None:
    """What was presented counts: beside a bad bearer token nothing else does."""
    visitor = await ann.at(mode)
    for sent in ("Bearer nonsense", "Bearer", "bearer a b"):
        if mode is Mode.JWT:
            visitor.access = ""
        for path in ("/open", "/mine"):
            for method in ("GET", "POST"):
                answer = await visitor.ask(method, path, [("Authorization", sent), *OWN])
                assert is_refused(answer, 401, "invalid_credential"), (sent, path, answer)
                assert answer.header("www-authenticate") == 'Bearer error="invalid_token"'


async def test_the_scheme_is_case_insensitive(site: Site, ann: Person) -> None:
    """RFC 9110: "bearer" is "Bearer", and any number of spaces follows."""
    visitor = await ann.at(Mode.JWT)
    for scheme in ("bearer", "BEARER", "Bearer "):
        answer = await site.visitor(Mode.JWT).ask("GET", "/mine", [("Authorization", f"{scheme} {visitor.access}")])
        assert answer.json()["subject"] == ann.subject


async def test_twice(site: Site, ann: Person, mode: Mode) -> None:
    """Two cookies of our name count as none, two Authorization headers are a bad one; the first is not picked."""
    visitor = await ann.at(mode)
    assert await visitor.who() == ann.subject
    ((name, value),) = visitor.carried()
    again = [(name, value.replace(visitor.token, "x") if mode is not Mode.JWT else "Bearer x")]
    for twice in (again, [(name, value)]):
        for method in ("GET", "POST"):
            public = await visitor.ask(method, "/open", [*twice, *OWN])
            if mode is Mode.JWT:
                assert is_refused(public, 401, "invalid_credential")
            else:
                assert public.json() == {"subject": None}
            assert refused_on_protected(visitor, await visitor.ask(method, "/mine", [*twice, *OWN]))


async def test_head_and_options(site: Site, ann: Person, mode: Mode) -> None:
    """HEAD is answered as GET is, without a body, or not at all; OPTIONS tells strangers nothing; neither needs to show
    where it comes from."""
    visitor = await ann.at(mode)
    site_of = [("Sec-Fetch-Site", "cross-site")]
    for asking in (visitor, site.visitor(mode)):
        for path in ("/open", "/mine"):
            like = await asking.get(path)
            head = await asking.ask("HEAD", path, site_of)
            assert head.status in (like.status, 405)
            assert head.body == b""
            options = await asking.ask("OPTIONS", path, site_of)
            assert options.status in (200, 204, 401, 405)
            assert asking is visitor or ann.subject.encode() not in options.body
    visitor.token = "x"
    assert (await visitor.ask("HEAD", "/mine")).status in (401, 405)
