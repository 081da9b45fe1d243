"""What happens to a user happens to their sessions, after the commit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from coatcheck import Mode
from coatcheck.blocking import Auth
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, cookie
from coatcheck.django import cut_off, user_changed
from tests.adapters.django.browser import PASSWORD, Browser

_NUMBERS = count()


@pytest.fixture
def inside(browser: Browser, ann: User) -> list[Browser]:
    """Ann, logged in in every mode."""
    found = []
    for mode in Mode:
        each = Browser()
        assert each.enter(ann, mode).status_code == 200
        assert each.who() == str(ann.pk)
        found.append(each)
    return found


@pytest.fixture
def group(tables: None) -> Group:
    return Group.objects.create(name=f"group{next(_NUMBERS)}")


def are_out(browsers: list[Browser]) -> bool:
    """A cookie that has ended is nobody's, a bearer token that has ended is refused."""
    return all(each.who() == (401 if each.bearer else None) for each in browsers)


def are_in(browsers: list[Browser], user: User) -> bool:
    return all(each.who() == str(user.pk) for each in browsers)


def new_password(user: User) -> None:
    user.set_password("seven grey herons")
    user.save()


def new_hash_only(user: User) -> None:
    user.set_password("seven grey herons")
    user.save(update_fields=["password"])


def deactivate(user: User) -> None:
    user.is_active = False
    user.save()


def deactivate_field(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def delete(user: User) -> None:
    user.delete()


def delete_rows(user: User) -> None:
    User.objects.filter(pk=user.pk).delete()


def by_hand(user: User) -> None:
    User.objects.filter(pk=user.pk).update(password="!")
    cut_off(user)


ENDS = [new_password, new_hash_only, deactivate, deactivate_field, delete, delete_rows, by_hand]


@pytest.mark.parametrize("change", ENDS)
def test_cut_off(inside: list[Browser], ann: User, change: Callable[[User], None]) -> None:
    """A new password, a deactivation and a deletion end every session at once; nobody else's."""
    other = Browser()
    other.enter(User.objects.create_user(f"bob{next(_NUMBERS)}", password=PASSWORD))
    change(ann)
    assert are_out(inside)
    assert isinstance(other.who(), str)


@pytest.mark.parametrize("change", ENDS[:-1])
def test_rolled_back(inside: list[Browser], ann: User, change: Callable[[User], None]) -> None:
    """Nothing ends before the commit, and nothing for a change that is taken back."""
    with transaction.atomic():
        change(User.objects.get(pk=ann.pk))
        transaction.set_rollback(True)
    assert are_in(inside, ann)
    with transaction.atomic():
        change(User.objects.get(pk=ann.pk))
        assert sum(each.bearer != "" for each in inside) == 1
    assert are_out(inside)


def rename(user: User) -> None:
    user.first_name = "Ann"
    user.save()


def seen(user: User) -> None:
    user.last_login = None
    user.save(update_fields=["last_login"])


@pytest.mark.parametrize("change", [rename, seen])
def test_nothing_that_matters(inside: list[Browser], ann: User, change: Callable[[User], None]) -> None:
    """Other fields, and the time of a login that Django writes, end nothing."""
    change(ann)
    assert are_in(inside, ann)


def roles_of(browser: Browser) -> list[str]:
    found: list[str] = browser.get("/mine").json()["roles"]
    return found


def test_groups(browser: Browser, ann: User, group: Group) -> None:
    """Every way of changing groups, from either side, counts at the next request."""
    browser.enter(ann)
    assert roles_of(browser) == []
    ann.groups.add(group)
    assert roles_of(browser) == [group.name]
    group.name = f"{group.name}x"
    group.save()
    assert roles_of(browser) == [group.name]
    ann.groups.remove(group)
    assert roles_of(browser) == []
    group.user_set.add(ann)
    assert roles_of(browser) == [group.name]
    group.user_set.clear()
    assert roles_of(browser) == []
    ann.groups.set([group])
    assert roles_of(browser) == [group.name]
    ann.groups.clear()
    assert roles_of(browser) == []
    group.user_set.set([ann])
    assert roles_of(browser) == [group.name]
    group.delete()
    assert roles_of(browser) == []


def test_flags(browser: Browser, ann: User) -> None:
    """Staff and superuser count at once; a token of before is stale."""
    phone = Browser()
    phone.enter(ann, Mode.JWT)
    browser.enter(ann)
    assert phone.who() == browser.who() == str(ann.pk)
    ann.is_staff = True
    ann.save(update_fields=["is_staff"])
    assert roles_of(browser) == ["staff"]
    assert phone.who() == 401
    User.objects.filter(pk=ann.pk).update(is_staff=False)
    assert roles_of(browser) == ["staff"], "nobody was told"
    user_changed(ann)
    assert roles_of(browser) == []


def new_address(user: User) -> None:
    user.email = "ann@example.org"
    user.save()


def new_address_only(user: User) -> None:
    user.email = "ann@example.org"
    user.save(update_fields=["email"])


def without_address(user: User) -> None:
    user.email, user.username = "", f"{user.username}x"
    user.save()


def another_name(user: User) -> None:
    user.username = f"{user.username}x"
    user.save(update_fields=["username"])


@pytest.mark.parametrize("change", [new_address, new_address_only, without_address, another_name])
def test_address_and_name(browser: Browser, ann: User, auth: Auth, change: Callable[[User], None]) -> None:
    """What `auth.profile` tells of a user is what has been saved, for an identity of before too, and not before the
    commit; a token of before is stale."""
    ann.email = "" if change is another_name else "ann@example.com"
    ann.save()
    phone = Browser()
    phone.enter(ann, Mode.JWT)
    browser.enter(ann)
    token = cookie(Carrier.SESSION_COOKIE, SECURE.session, browser.cookies[SECURE.session].value)
    identity = auth.verify(token)
    with CaptureQueriesContext(connection) as queries:
        before = auth.profile(identity)
    assert len(queries) > 0
    assert (before.email, before.name) == (ann.email, "" if ann.email else ann.username)
    with CaptureQueriesContext(connection) as queries:
        assert auth.profile(auth.verify(token)) is before
    assert len(queries) == 0
    with transaction.atomic():
        change(ann)
        assert auth.profile(identity) is before
    after = auth.profile(auth.verify(token))
    assert after == auth.profile(identity)
    assert (after.email, after.name) == (ann.email, "" if ann.email else ann.username)
    assert after != before
    assert (browser.who(), phone.who()) == (str(ann.pk), 401)


def test_own_password(browser: Browser, ann: User) -> None:
    """Whoever changes their own password by Django's form stays in, in a new session; their other sessions end, and
    whoever has a copy of the cookie is out."""
    other, thief = Browser(), Browser()
    for each in (browser, other):
        each.enter(ann)
        assert each.who() == str(ann.pk)
    thief.cookies.load(f"{SECURE.session}={browser.cookies[SECURE.session].value}")
    assert thief.who() == str(ann.pk)
    form = {"old_password": PASSWORD, "new_password1": "seven grey herons", "new_password2": "seven grey herons"}
    answer = browser.post("/accounts/password/", form, headers={"Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer["Location"]) == (302, "/open")
    assert (browser.who(), other.who(), thief.who()) == (str(ann.pk), None, None)


def test_one_session_however_often_a_request_renews_it(browser: Browser, ann: User, auth: Auth) -> None:
    """A view that changes its user's password and logs them in again leaves one session, the one whose cookie goes
    out: nobody holds the cookie of the one in between."""
    browser.enter(ann)
    assert browser.get("/new-password?password=seven+grey+herons").content == b"changed"
    assert browser.who() == str(ann.pk)
    now = auth.clock.now()
    page = auth.run(lambda inner: inner.sessions.sessions_of(str(ann.pk), now=now))
    assert len(page.sessions) == 1


def test_own_account(inside: list[Browser], ann: User) -> None:
    """Whoever deactivates themselves is out too, in every mode."""
    assert inside[0].get("/leave").content == b"bye"
    assert are_out(inside)
