"""The device list: what it shows, and ending and naming what is on it."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck import Auth, Device, Mode
from coatcheck.credentials.opaque import new_session_id
from coatcheck.testing.clock import TravelClock
from tests.service.visitor import EMAIL, OTHER, PASSWORD, Form, Page, Visitor
from tests.support.gates import GatedStore

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Mobile/15E148 Safari/604.1"
)
XSS = '"><img src=x onerror=alert(1)>'


@pytest.fixture
async def subject(auth: Auth) -> str:
    return (await auth.accounts.register(EMAIL, PASSWORD)).id


@pytest.fixture
async def visitor(auth: Auth, subject: str) -> Visitor:
    """Somebody who is logged in."""
    visitor = Visitor(auth)
    await visitor.log_in()
    return visitor


async def live(auth: Auth, subject: str) -> list[str]:
    page = await auth.sessions.sessions_of(subject, now=auth.clock.now(), limit=200)
    return [session.id for session in page.sessions]


def log_outs(page: Page) -> list[Form]:
    """The forms that log out one device each."""
    named = ("/auth/devices/others/logout", "/auth/devices/everywhere/logout")
    return [
        form for form in page.forms if form.action.endswith("/logout") and form.action not in (*named, "/auth/logout")
    ]


async def test_only_here(visitor: Visitor) -> None:
    """Alone, the list says that there is nothing else, and offers nothing to end but this."""
    page = await visitor.get("/auth/devices")
    assert "Firefox on Linux This device" in page.text
    assert "You are logged in here and nowhere else." in page.text
    assert "Log out all others" not in page.text
    assert len(log_outs(page)) == 1


async def test_what_it_shows(visitor: Visitor, auth: Auth, subject: str, clock: TravelClock) -> None:
    """Each device with its name, label, address and times, in words and exactly; this one marked and first."""
    await auth.login(subject, mode=Mode.JWT, device=Device(user_agent="curl/8.14.1", ip="203.0.113.7", label="Backup"))
    clock.advance(7200 + 60)
    await visitor.log_in()
    await Visitor(auth, user_agent=IPHONE).log_in()
    clock.advance(180)
    page = await visitor.get("/auth/devices")
    first, second, third = page.text.index("This device"), page.text.index("iPhone"), page.text.index("Backup")
    assert first < second < third
    assert page.text.count("This device") == 1
    assert "Safari on iPhone Last seen 3 minutes ago Logged in 3 minutes ago Browser 192.0.2.1" in page.text
    assert "Backup curl Last seen 2 hours ago Logged in 2 hours ago App 203.0.113.7" in page.text
    times = [attrs["datetime"] for tag, attrs in page.tags if tag == "time"]
    assert times.count("2027-01-15T10:01:00Z") == 3
    assert times.count("2027-01-15T08:00:00Z") == 2
    assert len(log_outs(page)) == 3
    assert all(attrs["title"] for tag, attrs in page.tags if tag == "time")


async def test_log_out_one(visitor: Visitor, auth: Auth, subject: str) -> None:
    """One other device is logged out at its button, and finds out at its next click."""
    phone = Visitor(auth, user_agent=IPHONE)
    await phone.log_in()
    page = await visitor.get("/auth/devices")
    (form,) = [form for form in log_outs(page) if await is_of(auth, form, IPHONE)]
    page = await visitor.submit(form)
    assert visitor.path == "/auth/devices?done=device"
    assert "The device has been logged out." in page.text
    assert len(await live(auth, subject)) == 1
    page = await phone.get("/auth/devices")
    assert "Your login here has ended" in page.text
    page = await visitor.submit(form)
    assert "not logged in any more" in page.text


async def is_of(auth: Auth, form: Form, user_agent: str) -> bool:
    found = await auth.sessions.find(form.action.split("/")[-2], now=auth.clock.now())
    return found is not None and found.session.device.user_agent == user_agent


async def test_log_out_this_one(visitor: Visitor, auth: Auth, subject: str) -> None:
    """The button of this device logs out like the one on top."""
    page = await visitor.get("/auth/devices")
    (form,) = log_outs(page)
    page = await visitor.submit(form)
    assert visitor.path == "/auth/login?done=logout"
    assert visitor.session_cookie is None
    assert await live(auth, subject) == []


async def test_log_out_others(visitor: Visitor, auth: Auth, subject: str) -> None:
    """All others are logged out, however many, and this one is not."""
    for _ in range(3):
        await auth.login(subject)
    page = await visitor.get("/auth/devices")
    page = await visitor.submit(page.form("/auth/devices/others/logout"))
    assert visitor.path == "/auth/devices?done=others"
    assert "All other devices have been logged out." in page.text
    assert len(await live(auth, subject)) == 1


async def test_log_out_everywhere(visitor: Visitor, auth: Auth, subject: str) -> None:
    """Everything is logged out, this one too."""
    await auth.login(subject)
    page = await visitor.get("/auth/devices")
    page = await visitor.submit(page.form("/auth/devices/everywhere/logout"))
    assert visitor.path == "/auth/login?done=everywhere"
    assert "You have been logged out everywhere." in page.text
    assert visitor.session_cookie is None
    assert await live(auth, subject) == []


async def test_others_lost_a_race(visitor: Visitor, auth: Auth, subject: str, store: GatedStore) -> None:
    """When this session is ended at the same moment, nothing is said to have been done."""
    other = await auth.login(subject)
    page = await visitor.get("/auth/devices")
    mine = next(session for session in await live(auth, subject) if session != other.session.id)
    await store.revoke(mine, now=auth.clock.now())  # as another process does: the event has not come yet
    page = await visitor.submit(page.form("/auth/devices/others/logout"))
    assert "Your login here has ended" in page.text
    assert await live(auth, subject) == [other.session.id]


@pytest.mark.parametrize("action", ["logout", "label"])
async def test_not_mine(visitor: Visitor, auth: Auth, action: str) -> None:
    """Somebody else's device and one that never was are answered alike, and nothing happens to them."""
    theirs = (await auth.accounts.register("eve@example.com", OTHER)).id
    session = (await auth.login(theirs)).session
    token = (await visitor.get("/auth/devices")).forms[0].fields["csrf_token"]
    answers = []
    for session_id in (session.id, new_session_id(theirs)):
        answers.append(await visitor.post(f"/auth/devices/{session_id}/{action}", {"csrf_token": token, "label": "x"}))
    assert {answer.status_code for answer in answers} == {303}
    assert {answer.headers["location"] for answer in answers} == {"/auth/devices?done=gone"}
    found = await auth.sessions.find(session.id, now=auth.clock.now())
    assert found is not None
    assert found.session.device.label == ""


@pytest.mark.parametrize("session_id", ["x", "..%2f..", "a" * 25, "'%20or%201=1--", "%00" * 24])
async def test_no_session_id(visitor: Visitor, session_id: str) -> None:
    """What is no session id leads to no page."""
    token = (await visitor.get("/auth/devices")).forms[0].fields["csrf_token"]
    response = await visitor.post(f"/auth/devices/{session_id}/logout", {"csrf_token": token})
    assert response.status_code == 404
    assert "There is no such page" in Page(response.text).text


async def test_rename(visitor: Visitor, auth: Auth, subject: str) -> None:
    """A device gets a name of one's own, and loses it again; the session is otherwise as it was."""
    page = await visitor.get("/auth/devices")
    (form,) = [form for form in page.forms if form.action.endswith("/label")]
    page = await visitor.submit(form, label="  Grandma’s\r\n laptop \u202e ")
    assert visitor.path == "/auth/devices?done=label"
    assert "Grandma’s laptop This device Firefox on Linux" in page.text
    (form,) = [form for form in page.forms if form.action.endswith("/label")]
    assert form.fields["label"] == "Grandma’s laptop"
    page = await visitor.submit(form, label="")
    assert "Grandma" not in page.text
    page = await visitor.submit(form, label="x" * 1000)
    assert f" {'x' * 100} " in page.text


async def test_rename_races(visitor: Visitor, auth: Auth, subject: str, store: GatedStore) -> None:
    """A name is written although the application writes session data at the same moment, and does not undo it."""
    page = await visitor.get("/auth/devices")
    (form,) = [form for form in page.forms if form.action.endswith("/label")]
    (session_id,) = await live(auth, subject)
    found = await auth.sessions.find(session_id, now=auth.clock.now())
    assert found is not None
    gate = store.hold_before("update")
    writing = asyncio.create_task(visitor.submit(form, label="mine"))
    await gate.reached()
    await store.update(session_id, found.session.version, now=auth.clock.now(), data={"cart": 1})
    gate.open()
    assert "mine This device" in (await writing).text
    found = await auth.sessions.find(session_id, now=auth.clock.now())
    assert found is not None
    assert found.session.data == {"cart": 1}


async def test_injection(auth: Auth, subject: str, visitor: Visitor) -> None:
    """Markup in a user agent or a label is text on the page."""
    await auth.login(subject, device=Device(user_agent=XSS, ip=XSS, label=XSS))
    page = await visitor.get("/auth/devices")
    assert page.text.count(XSS) >= 3
    assert [attrs["src"] for tag, attrs in page.tags if tag == "img"] == [icon(page)]
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


def icon(page: Page) -> str | None:
    return next(attrs["href"] for tag, attrs in page.tags if attrs.get("rel") == "icon")


async def test_paging(visitor: Visitor, auth: Auth, subject: str) -> None:
    """More than fifty devices come page by page, each once; this one is on the first only, whatever its age."""
    for number in range(99):
        await auth.login(subject, device=Device(label=f"device {number}"))
    page = await visitor.get("/auth/devices")
    assert "This device" in page.text
    seen: list[str] = []
    for count in range(1, 5):
        seen += [form.action for form in log_outs(page)]
        older = [attrs["href"] for tag, attrs in page.tags if attrs.get("rel") == "next"]
        assert ("Newest devices" in page.text) == (count > 1)
        if not older:
            break
        page = await visitor.get(older[0] or "")
        assert "This device" not in page.text
    assert len(seen) == len(set(seen)) == 100
    assert count == 2


async def test_wrong_cursor(visitor: Visitor) -> None:
    """A cursor that is none of ours is refused with a page."""
    await visitor.get("/auth/devices", params={"cursor": "../../etc"})
    assert visitor.response.status_code == 422


async def test_store_down(visitor: Visitor, store: GatedStore, auth: Auth, subject: str) -> None:
    """A device is only said to be logged out when the store has said so."""
    await auth.login(subject)
    page = await visitor.get("/auth/devices")
    store.fail("revoke", "revoke_subject", "update")
    for form in page.forms:
        response = await visitor.post(form.action, form.fields)
        assert response.status_code == 503, form.action
        assert "set-cookie" not in response.headers
    store.fail()
    assert len(await live(auth, subject)) == 2
